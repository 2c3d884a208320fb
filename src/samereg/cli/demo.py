"""`samereg demo`: flags and output."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from samereg.cli.options import Machine, MachineFlags, MessageFlags, Messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """Register a generated synthetic pair.

    Generates a contrast-enhanced and a non-contrast chest CT of two synthetic subjects, registers them,
    and compares the overlap of 35 organs before and after.
    """

    output: Annotated[Path, arg(aliases=["-o"], metavar="DIR")] = Path("samereg-demo")
    """Output folder; one of an earlier demo is overwritten."""

    overwrite: bool = False
    """Write into a non-empty output folder; other files in it are kept."""

    machine: MachineFlags = field(default_factory=Machine)

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Run the demo, print its result, return the exit code."""
        from samereg.app.demo import run_demo
        from samereg.app.plain import to_plain
        from samereg.app.settings import MachineSettings, RegisterSettings
        from samereg.cli.console import print_facts, print_json, progress, start_logging
        from samereg.cli.summary import report_faults

        start_logging(self.messages)
        settings = RegisterSettings(
            machine=MachineSettings(device=self.machine.device, threads=self.machine.threads),
            seed=self.machine.seed,
        )
        with progress(self.messages) as on_progress:
            demo = run_demo(self.output, settings=settings, overwrite=self.overwrite, on_progress=on_progress)
        if self.messages.json:
            print_json(to_plain(demo))
        else:
            facts = {
                "mean Dice before": f"{demo.dice_before:.1f} % over {demo.organs} organs",
                "mean Dice after": f"{demo.dice_after:.1f} %",
                "time": f"{demo.registration.seconds:.1f} s",
                "fixed scan": str(self.output / "fixed.nii.gz"),
                "moving scan": str(self.output / "moving.nii.gz"),
                "moved scan": str(self.output / "registration" / "moved.nii.gz"),
                "transform": str(self.output / "registration" / "transform.h5"),
            }
            print_facts("synthetic chest, non-contrast -> contrast-enhanced", facts)
        report_faults(demo.registration.faults)
        return demo.registration.exit_status
