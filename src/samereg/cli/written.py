"""What the commands that write a transform share: the formats asked for, and what is said afterwards."""

from samereg.app.plain import to_plain
from samereg.app.settings import TransformFormatOrAuto
from samereg.app.transforms import Formats, WrittenTransform
from samereg.cli.console import print_facts, print_json
from samereg.cli.options import TransformFormats
from samereg.cli.summary import report_faults
from samereg.io.format_names import TransformFormatName


def chosen_formats(flags: TransformFormats) -> Formats:
    """Formats that flags ask for."""
    return Formats(source=format_or_none(flags.source), target=format_or_none(flags.target))


def format_or_none(name: TransformFormatOrAuto) -> TransformFormatName | None:
    """A format by name; None for `auto`."""
    return None if name == "auto" else name


def print_written(record: WrittenTransform, title: str, *, json: bool) -> None:
    """Print what was written and how far it is from what it should be; faults go to standard error."""
    if json:
        print_json(to_plain(record))
    else:
        facts = {
            "parts": ", then ".join(record.parts),
            "difference": f"mean {record.mean_mm:.4f} mm, largest {record.largest_mm:.4f} mm, {record.points} points",
            "written": " ".join(map(str, record.files)),
        }
        print_facts(title, facts)
    report_faults(record.faults)
