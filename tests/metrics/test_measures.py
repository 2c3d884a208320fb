from dataclasses import fields
from pathlib import Path

import samereg
from samereg.app.verdict import JUDGED, VerdictLimits
from samereg.bench.measured import MEASURED
from samereg.metrics.measures import MEASURES
from samereg.pipeline.quality import Quality

SOURCES = Path(samereg.__file__).parent


def test_every_measure_of_a_registration_is_registered():
    assert {each.name for each in fields(Quality)} == set(JUDGED) == {each.name for each in fields(VerdictLimits)}
    assert set(JUDGED) <= set(MEASURES)


def test_a_measure_is_named_and_formatted_in_the_registry_alone():
    registry = SOURCES / "metrics" / "measures.py"
    words = {text for each in MEASURES.values() if each.unit for text in (f'"{each.heading}"', f'name="{each.name}"')}
    repeated = {
        (path.name, word)
        for path in SOURCES.rglob("*.py")
        if path != registry
        for word in words
        if word in path.read_text(encoding="utf-8")
    }
    assert not repeated


def test_tables_and_verdict_show_a_measure_alike():
    shared = [measure for measure, _ in MEASURED if measure.key in JUDGED]
    assert [measure.key for measure in shared] == ["jacobian_std", "folded_fraction", "inverse_consistency_mm"]
    assert all(measure is MEASURES[measure.key] for measure in shared)
    assert MEASURES["folded_fraction"].shown(0.00125) == "0.125 %"
    assert MEASURES["folded_fraction"].heading == "folded (%)"
