"""`samereg train embedding`: flags and output."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from samereg.app.settings import OptionalText
from samereg.cli.options import Machine, MachineFlags, MessageFlags, Messages, OutputFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainEmbedding:
    """Train an anatomical embedding on unlabelled CT scans.

    Writes weights, a model card and logs to the output folder. If that folder contains a stopped
    run, training resumes exactly from there; to train longer, increase --steps.
    """

    data: Annotated[Path, arg(metavar="DIR|FILE")]
    """Folder to search for CT scans, or text file with one path per line."""

    output: OutputFolder
    """Folder of the run."""

    network: Literal["compact", "resnet18"] = "compact"
    """compact: the shipped network. resnet18: as in the paper."""

    steps: int = 1550
    """Total number of optimisation steps, including those before resuming."""

    init: Annotated[OptionalText, arg(metavar="WEIGHTS")] = None
    """Initial weights for fine-tuning: name of shipped ones, or a file."""

    learning_rate: float = 1e-3
    """Maximum learning rate; use a tenth of it for fine-tuning."""

    gpus: int = 1
    """Number of GPUs; only with --device auto or cuda."""

    machine: MachineFlags = field(default_factory=Machine)

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Train, print the output files, return the exit code."""
        from samereg.optional import require_packages

        require_packages("lightning_fabric", "tensorboard", purpose="training")

        from samereg.app.embedding_training import train_from_files
        from samereg.app.plain import to_plain
        from samereg.app.settings import TrainingMachineSettings
        from samereg.cli.console import print_facts, print_json, progress, start_logging
        from samereg.training.settings import EmbeddingTraining

        start_logging(self.messages)
        settings = EmbeddingTraining(
            network=self.network,
            steps=self.steps,
            learning_rate=self.learning_rate,
            seed=self.machine.seed,
        )
        machine = TrainingMachineSettings(device=self.machine.device, threads=self.machine.threads, gpus=self.gpus)
        with progress(self.messages) as on_progress:
            trained = train_from_files(
                self.data,
                self.output,
                settings=settings,
                machine=machine,
                init=self.init,
                on_progress=on_progress,
            )
        if self.messages.json:
            print_json(to_plain(trained))
        else:
            facts = {"steps": str(trained.steps), "written": str(trained.weights)}
            print_facts(f"embedding trained on {trained.scans} scans", facts)
        return 0
