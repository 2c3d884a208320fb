"""What is said about a transform that was written."""

from samereg.app.record import to_plain
from samereg.app.transforms import WrittenTransform
from samereg.cli.console import print_facts, print_json
from samereg.cli.summary import report_faults


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
