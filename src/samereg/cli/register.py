"""`samereg register`: flags, and what it prints."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from tyro.conf import arg

from samereg.cli.options import (
    FixedScan,
    Machine,
    MachineFlags,
    MessageFlags,
    Messages,
    MovingScan,
    OptionalPath,
    OutputFolder,
    Series,
    TransformFormatOrAuto,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Register:
    """Align a moving CT scan with a fixed one.

    Writes into the output folder: moved.nii.gz (the moving scan on the fixed scan's grid, in HU),
    transform.h5 (fixed to moving world, what resampling needs), inverse.h5, matches.csv and run.json.
    """

    fixed: FixedScan
    """Scan that stays: NIfTI, NRRD or MetaImage file, or folder of DICOM slices."""

    moving: MovingScan
    """Scan to be aligned with it."""

    output: OutputFolder
    """Folder to make."""

    preset: Literal["default", "best", "fast", "affine"] = "default"
    """default: affine, coarse, and a trained network's fine deformation, the paper's method. best: optimised on this
    pair after that. fast: affine and coarse. affine: that part alone."""

    init: Annotated[OptionalPath, arg(metavar="FILE")] = None
    """Transform to start from instead of SAM-affine, fixed to moving, in any format that `samereg convert` reads."""

    init_format: TransformFormatOrAuto = "auto"
    """What that file is, if it does not tell."""

    filter: Literal["stable", "threshold"] = "stable"
    """How bad matches are thrown out: by cycle consistency, or by the paper's similarity threshold."""

    affine_model: Literal["affine", "rigid", "similarity"] = "affine"
    """Freedom of the affine part."""

    filler: Literal["regularised", "linear"] = "regularised"
    """How matches become a dense field: smooth without folds, or the paper's linear interpolation."""

    embedding: str = "compact"
    """Shipped embedding by name, or the weights file of one you trained."""

    deform: str = "sam-vm"
    """Shipped deformation network by name, or the weights file of one you trained."""

    series: Series = None
    """DICOM series to take instead of the largest: a UID, or its beginning, for each folder, fixed first."""

    orientation: Literal["find", "header"] = "find"
    """find: turn a scan whose header is wrong about the way round it lies, and refuse a mirrored one. header: believe
    both headers."""

    confidence: bool = False
    """Write confidence.nii.gz too: the expected error in mm at every voxel of the body, -1 outside."""

    report: bool = False
    """Write report.html too: pictures, figures and a verdict, on one page that needs no network."""

    overwrite: bool = False
    """Write into the output folder even if it holds something; other files in it stay."""

    machine: MachineFlags = field(default_factory=Machine)

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Register, print a summary, return the exit code."""
        from samereg.app.machine import MachineSettings
        from samereg.app.record import to_plain
        from samereg.app.registration import RegisterSettings, register_files
        from samereg.cli.console import print_facts, print_json, progress, start_logging
        from samereg.cli.summary import print_summary, report_faults

        start_logging(self.messages)
        settings = RegisterSettings(
            preset=self.preset,
            init=self.init,
            init_format=None if self.init_format == "auto" else self.init_format,
            filter=self.filter,
            affine_model=self.affine_model,
            filler=self.filler,
            embedding=self.embedding,
            deform=self.deform,
            orientation=self.orientation,
            series=self.series or (),
            confidence=self.confidence,
            machine=MachineSettings(device=self.machine.device, threads=self.machine.threads),
            seed=self.machine.seed,
        )
        with progress(self.messages) as on_progress:
            record = register_files(
                self.fixed,
                self.moving,
                self.output,
                settings=settings,
                overwrite=self.overwrite,
                on_progress=on_progress,
            )
        report = None
        if self.report:
            from samereg.report.page import write_report

            report = write_report(self.output, overwrite=self.overwrite)
        if self.messages.json:
            print_json(to_plain(record))
        else:
            print_summary(record, self.output)
            if report is not None:
                print_facts(f"{report.verdict.level}: {report.verdict.headline}", {"written": str(report.output)})
        report_faults(record.faults)
        return record.exit_status
