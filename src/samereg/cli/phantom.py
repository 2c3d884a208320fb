"""`samereg phantom`: flags and output."""

from dataclasses import dataclass, field

from samereg.cli.options import MessageFlags, Messages, OutputFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Phantom:
    """Generate labelled synthetic chest CT scans.

    Each subject has an individual body shape, a contrast-enhanced and a non-contrast scan, a label map of 35
    organs, and landmarks. The same seed gives the same files.
    """

    output: OutputFolder
    """Folder to make."""

    subjects: int = 4
    """How many subjects."""

    seed: int = 0
    """Seed of the first subject; subject N is the same in every cohort."""

    spacing: tuple[float, float, float] = (2.0, 2.0, 2.0)
    """Voxel spacing in mm: superior, anterior-posterior, left-right."""

    shape: tuple[int, int, int] = (192, 144, 208)
    """Voxels in the same order."""

    overwrite: bool = False
    """Write into a non-empty output folder; other files in it are kept."""

    threads: int = 0
    """CPU threads; 0 uses all cores."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Generate the cohort, print a summary, return the exit code."""
        from samereg.app.machine import prepare_machine
        from samereg.app.phantoms import PhantomSettings, write_phantoms
        from samereg.app.plain import to_plain
        from samereg.app.settings import MachineSettings
        from samereg.cli.console import print_facts, print_json, progress, start_logging

        start_logging(self.messages)
        prepare_machine(MachineSettings(device="cpu", threads=self.threads), seed=self.seed)
        settings = PhantomSettings(subjects=self.subjects, seed=self.seed, spacing_mm=self.spacing, shape=self.shape)
        with progress(self.messages) as on_progress:
            files = write_phantoms(self.output, settings=settings, overwrite=self.overwrite, on_progress=on_progress)
        if self.messages.json:
            print_json(to_plain({"output": self.output, "files": files}))
        else:
            facts = {"subjects": str(self.subjects), "files": str(len(files)), "written": str(self.output)}
            print_facts("phantom cohort", facts)
        return 0
