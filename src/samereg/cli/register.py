"""`samereg register`: flags and output."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import RegisterSettings
from samereg.cli.options import FixedScan, MessageFlags, Messages, MovingScan, OutputFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Register:
    """Register a moving CT scan to a fixed one.

    Writes into the output folder: moved.nii.gz (the moving scan on the fixed scan's grid, in HU),
    transform.h5 (fixed to moving world, for resampling), inverse.h5, matches.csv and run.json; with --dicom
    registration.dcm and the series moved/ too.
    """

    fixed: FixedScan
    """Fixed scan: NIfTI, NRRD or MetaImage file, or folder of DICOM slices."""

    moving: MovingScan
    """Moving scan, to be aligned with the fixed one."""

    output: OutputFolder
    """Folder to make."""

    settings: Annotated[RegisterSettings, arg(name="")] = field(default_factory=RegisterSettings)

    report: bool = False
    """Also write report.html: images, measures and a verdict, on one self-contained page."""

    overwrite: bool = False
    """Write into a non-empty output folder; other files in it are kept."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Register, print a summary, return the exit code."""
        from samereg.app.plain import to_plain
        from samereg.app.registration import register_files
        from samereg.cli.console import naming_flags, print_facts, print_json, progress, start_logging
        from samereg.cli.summary import print_summary, report_faults

        start_logging(self.messages)
        with progress(self.messages) as on_progress, naming_flags(format="--init-format FORMAT"):
            found = register_files(
                self.fixed,
                self.moving,
                self.output,
                settings=self.settings,
                overwrite=self.overwrite,
                on_progress=on_progress,
            )
        record, report = found.record, None
        if self.report:
            from samereg.report.page import write_report

            report = write_report(self.output, found=found, overwrite=self.overwrite)
        if self.messages.json:
            print_json(to_plain(record))
        else:
            print_summary(record, self.output)
            if report is not None:
                print_facts(f"{report.verdict.level}: {report.verdict.headline}", {"written": str(report.output)})
        report_faults(record.faults)
        return record.exit_status
