"""`samereg train deform`: flags and output."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from samereg.app.settings import OptionalPath, OptionalText
from samereg.cli.options import Machine, MachineFlags, MessageFlags, Messages, OutputFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainDeform:
    """Train a deformation network on unlabelled CT scans.

    Embeds all scans and aligns pairs, cached on disk; then trains on random crops of the
    aligned pairs. Writes weights, a model card and logs to the output folder. If that folder contains a
    stopped run, training resumes exactly from there.
    """

    data: Annotated[Path, arg(metavar="DIR|FILE")]
    """Folder to search for CT scans, or text file with one path per line."""

    output: OutputFolder
    """Folder of the run."""

    validation: Annotated[OptionalPath, arg(metavar="DIR|FILE")] = None
    """The same for validation scans, whose loss is logged."""

    variant: Literal["vm", "sam-loss", "sam-corr", "sam-vm"] = "sam-vm"
    """vm: VoxelMorph. sam-loss, sam-corr: with the embedding similarity as a loss, or its correlation as an
    input. sam-vm: with both."""

    network: Literal["phnn", "vm-unet", "unet"] = "phnn"
    """phnn: the shipped one, SAME's backbone. vm-unet: VoxelMorph's. unet: 3-D U-Net."""

    form: Literal["velocity", "displacement"] = "velocity"
    """velocity: diffeomorphic and invertible. displacement: as in the paper."""

    steps: int = 1500
    """Total number of optimisation steps, including those before resuming."""

    pairs: int = 0
    """Number of ordered pairs to train on, drawn at random; 0 uses all."""

    init: Annotated[OptionalText, arg(metavar="WEIGHTS")] = None
    """Initial weights for fine-tuning: name of shipped ones, or a file."""

    learning_rate: float = 1e-3
    """Maximum learning rate; use a tenth of it for fine-tuning."""

    alignment: Literal["fast", "affine"] = "fast"
    """Initial alignment of pairs: fast, by SAM-affine and SAM-coarse; affine, by SAM-affine only (the paper's
    table 2)."""

    embedding: str = "compact"
    """Embedding network: name of a shipped one, or a weights file."""

    cache: Annotated[OptionalPath, arg(metavar="DIR")] = None
    """Folder of cached embeddings and alignments, which runs may share; by default beside the output."""

    gpus: int = 1
    """Number of GPUs; only with --device auto or cuda."""

    machine: MachineFlags = field(default_factory=Machine)

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Train, print the output files, return the exit code."""
        from samereg.optional import require_packages

        require_packages("lightning_fabric", "tensorboard", purpose="training")

        from samereg.app.deform_training import DeformSources, train_deform_from_files
        from samereg.app.plain import to_plain
        from samereg.app.settings import TrainingMachineSettings
        from samereg.cli.console import print_facts, print_json, progress, start_logging
        from samereg.training.deform import DeformTraining

        start_logging(self.messages)
        sources = DeformSources(
            data=self.data,
            validation=self.validation,
            embedding=self.embedding,
            start=self.init,
            pairs=self.pairs,
            alignment=self.alignment,
            cache=self.cache,
        )
        settings = DeformTraining(
            network=self.network,
            variant=self.variant,
            form=self.form,
            steps=self.steps,
            learning_rate=self.learning_rate,
            seed=self.machine.seed,
        )
        machine = TrainingMachineSettings(device=self.machine.device, threads=self.machine.threads, gpus=self.gpus)
        with progress(self.messages) as on_progress:
            trained = train_deform_from_files(
                sources, self.output, settings=settings, machine=machine, on_progress=on_progress
            )
        if self.messages.json:
            print_json(to_plain(trained))
        else:
            facts = {
                "pairs": str(trained.pairs),
                "steps": str(trained.steps),
                "written": str(trained.weights),
            }
            print_facts(f"deformation network trained on {trained.scans} scans", facts)
        return 0
