"""`samereg train deform`: flags, and what it prints."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from samereg.app.settings import OptionalPath, OptionalText
from samereg.cli.options import Machine, MachineFlags, MessageFlags, Messages, OutputFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainDeform:
    """Train a deformation network on unlabelled CT scans.

    Embeds every scan and aligns pairs of them, once, into a cache on disk; then learns from random crops of the
    aligned pairs. Writes weights, a model card and logs into the output folder. When that folder already holds a
    stopped run, training goes on exactly where it stopped.
    """

    data: Annotated[Path, arg(metavar="DIR|FILE")]
    """Folder that is searched for CT scans, or text file with one path per line."""

    output: OutputFolder
    """Folder of the run."""

    validation: Annotated[OptionalPath, arg(metavar="DIR|FILE")] = None
    """The same for scans whose loss is logged but that nothing is fitted to."""

    variant: Literal["vm", "sam-loss", "sam-corr", "sam-vm"] = "sam-vm"
    """vm: VoxelMorph. sam-loss, sam-corr: with the embedding's similarity as a loss, or its correlation as an
    input. sam-vm: with both."""

    network: Literal["phnn", "vm-unet", "unet"] = "phnn"
    """phnn: the shipped one, SAME's backbone. vm-unet: VoxelMorph's. unet: 3-D U-Net."""

    form: Literal["velocity", "displacement"] = "velocity"
    """velocity: its flow cannot fold and has an inverse. displacement: the paper's."""

    steps: int = 1500
    """Optimisation steps in all, those done before a resumption included."""

    pairs: int = 0
    """Ordered pairs to align and learn from, drawn at random; 0 takes all."""

    init: Annotated[OptionalText, arg(metavar="WEIGHTS")] = None
    """Weights to begin with, to fine-tune: shipped ones by name, or a file."""

    learning_rate: float = 1e-3
    """Largest step of the optimiser; a tenth of it suits fine-tuning."""

    alignment: Literal["fast", "affine"] = "fast"
    """How pairs are aligned before: fast, by SAM-affine and SAM-coarse; affine, by SAM-affine alone (the paper's
    table 2)."""

    embedding: str = "compact"
    """Shipped embedding by name, or the weights file of one you trained."""

    cache: Annotated[OptionalPath, arg(metavar="DIR")] = None
    """Folder of embeddings and alignments, which several runs may share; by default beside the output."""

    gpus: int = 1
    """How many GPUs share the work; only with --device auto or cuda."""

    machine: MachineFlags = field(default_factory=Machine)

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Train, say where the results lie, return the exit code."""
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
            print_facts(f"deformation learnt from {trained.scans} scans", facts)
        return 0
