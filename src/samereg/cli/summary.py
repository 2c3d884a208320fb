"""Printed summary of a registration."""

from collections.abc import Sequence
from pathlib import Path

from samereg.app.record import RunRecord
from samereg.cli.console import print_facts
from samereg.cli.streams import print_error
from samereg.metrics.measures import MEASURES


def print_summary(record: RunRecord, output: Path) -> None:
    """Print scans, quality, times and output of a registration."""
    quality = record.quality
    facts = {
        "verdict": f"{record.verdict.level}: {record.verdict.headline}",
        "matches kept": str(quality.match_count),
        "overlap": f"{MEASURES['overlap_fraction'].shown(quality.overlap_fraction)} of the fixed body",
        "folded voxels": MEASURES["folded_fraction"].shown(quality.folded_fraction),
        "inverse consistency": f"{MEASURES['inverse_consistency_mm'].shown(quality.inverse_consistency_mm)} (mean)",
        **_landmarks(record),
        "computed on": f"{record.machine.device}, {record.embedding.precision}",
        "time": ", ".join(f"{stage.name} {stage.seconds:.1f} s" for stage in record.stages)
        + f", all {record.seconds:.1f} s",
        "written": f"{output}: moved.nii.gz transform.h5 inverse.h5 matches.csv run.json"
        + (" confidence.nii.gz" if record.settings.confidence else ""),
    }
    print_facts(f"{record.moving.path} -> {record.fixed.path}", facts)


def _landmarks(record: RunRecord) -> dict[str, str]:
    """How well landmarks are kept, if there are any."""
    kept = record.guidance.landmarks if record.guidance else ()
    if not kept:
        return {}
    started, left = (max(column) for column in zip(*((each.start_mm, each.left_mm) for each in kept), strict=True))
    return {"landmarks": f"{len(kept)}, off by up to {left:.1f} mm; by {started:.1f} mm before"}


def report_faults(faults: Sequence[str]) -> None:
    """Print to stderr why a result failed."""
    for fault in faults:
        print_error(f"samereg: error: The result failed a quality check: {fault}.")
