"""`samereg match`: flags and output."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from samereg.app.settings import MatchSettings, OptionalNumber, OptionalPath
from samereg.cli.options import FixedScan, MessageFlags, Messages, MovingScan


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """Find points of one CT scan in another.

    Prints for each point its match in the moving scan (LPS mm), the similarity (at
    most 1), the cycle error (distance between the point and the match of its match in the fixed scan),
    the margin over the second candidate, the expected error in mm, and whether the point lies outside the moving
    scan's field of view; if so, its position is meaningless.
    """

    fixed: FixedScan
    """Scan of the points."""

    moving: MovingScan
    """Scan to search."""

    points: Annotated[OptionalPath, arg(metavar="FILE")] = None
    """Points in LPS mm: CSV with the header x,y,z (other columns are kept), Slicer markups, or another point
    file that `samereg points` reads."""

    labels: Annotated[OptionalPath, arg(metavar="FILE")] = None
    """Instead of points: a label map in the world of the fixed scan ..."""

    label: Annotated[OptionalNumber, arg(metavar="VALUE")] = None
    """... and the label whose voxels to find."""

    output: Annotated[OptionalPath, arg(aliases=["-o"], metavar="CSV")] = None
    """Also write a CSV file."""

    settings: Annotated[MatchSettings, arg(name="")] = field(default_factory=MatchSettings)

    overwrite: bool = False
    """Overwrite an existing output."""

    messages: MessageFlags = field(default_factory=Messages)

    def run(self) -> int:
        """Match, print a table, return the exit code."""
        from samereg.app.plain import to_plain
        from samereg.app.point_matching import PointQuery, match_files, records, table
        from samereg.cli.console import print_json, print_table, start_logging

        start_logging(self.messages)
        found = match_files(
            self.fixed,
            self.moving,
            PointQuery(points=self.points, labels=self.labels, label=self.label),
            settings=self.settings,
            output=self.output,
            overwrite=self.overwrite,
        )
        if self.messages.json:
            print_json(to_plain(records(found, candidates=self.settings.candidates)))
        else:
            print_table(*table(found, candidates=self.settings.candidates))
        return 0
