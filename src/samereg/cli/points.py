"""`samereg points`: flags and output."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from samereg.app.settings import PointFormatOrAuto, TransformFormatOrAuto
from samereg.cli.options import FixedImage, MessageFlags, Messages, MovingImage, OutputFile, TransformFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Points:
    """Map points, markups or a mesh from one scan's space to the other's.

    Give the space of the points and the target space; the direction of the transform is handled automatically.
    Points outside the field of the transform are kept and marked `outside`.
    """

    transform: TransformFile
    """Transform file of any format that `samereg convert` reads; inverse.h5 beside it is used if it matches."""

    points: Annotated[Path, arg(aliases=["-p"], metavar="FILE")]
    """CSV with the header x,y,z (LPS mm), Slicer .mrk.json or .fcsv, Learn2Reg keypoints, .vtk or .stl mesh."""

    source: Annotated[Literal["fixed", "moving"], arg(name="from")]
    """Space of the points."""

    target: Annotated[Literal["fixed", "moving"], arg(name="to")]
    """Target space."""

    output: OutputFile
    """Output file: the input's format, or another list of points, by its suffix."""

    fixed: FixedImage = None
    """Fixed image, only for coordinates in voxels (Learn2Reg)."""

    moving: MovingImage = None
    """Moving image, likewise."""

    points_format: PointFormatOrAuto = "auto"
    """Format of the point file, if it cannot be detected."""

    transform_format: TransformFormatOrAuto = "auto"
    """Format of the transform file, if it cannot be detected."""

    overwrite: bool = False
    """Overwrite an existing output."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Map the points, print a summary, return the exit code."""
        from samereg.app.plain import to_plain
        from samereg.app.points import PointsSettings, move_points_file
        from samereg.cli.console import naming_flags, print_facts, print_json, start_logging, warn

        start_logging(self.messages)
        settings = PointsSettings(
            source=self.source,
            target=self.target,
            points_format=None if self.points_format == "auto" else self.points_format,
            transform_format=None if self.transform_format == "auto" else self.transform_format,
            fixed=self.fixed,
            moving=self.moving,
        )
        with naming_flags(
            format="--transform-format FORMAT", fixed="-f FIXED", moving="-m MOVING", image="-f FIXED and -m MOVING"
        ):
            record = move_points_file(
                self.transform, self.points, self.output, settings=settings, overwrite=self.overwrite
            )
        if record.outside and not record.marked:
            warn(f"{record.outside} points lie outside the transform's domain; this format cannot mark them")
        if self.messages.json:
            print_json(to_plain(record))
            return 0
        facts = {
            "points": f"{record.points}, {record.outside} of them outside the transform's domain",
            "through": record.how,
            "maximum displacement": f"{record.max_mm:.2f} mm",
            "written": str(record.output),
        }
        print_facts(f"{self.points}, from {self.source} to {self.target}", facts)
        return 0
