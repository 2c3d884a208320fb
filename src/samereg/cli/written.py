"""Shared parts of commands that write a transform: formats and printed summary."""

from samereg.app.plain import to_plain
from samereg.app.settings import TransformFormatOrAuto
from samereg.app.transforms import Formats, WrittenTransform
from samereg.cli.console import print_facts, print_json
from samereg.cli.options import TransformFormats
from samereg.cli.summary import report_faults
from samereg.io.format_names import TransformFormatName


def chosen_formats(flags: TransformFormats) -> Formats:
    """Formats given by flags."""
    return Formats(source=format_or_none(flags.source), target=format_or_none(flags.target))


def format_or_none(name: TransformFormatOrAuto) -> TransformFormatName | None:
    """A format by name; None for `auto`."""
    return None if name == "auto" else name


def print_written(record: WrittenTransform, title: str, *, json: bool) -> None:
    """Print the output and its accuracy; faults go to stderr."""
    if json:
        print_json(to_plain(record))
    else:
        facts = {
            "parts": ", then ".join(record.parts),
            "difference": f"mean {record.mean_mm:.4f} mm, maximum {record.max_mm:.4f} mm, {record.points} points",
            "written": " ".join(map(str, record.files)),
        }
        print_facts(title, facts)
    report_faults(record.faults)
