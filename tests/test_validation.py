"""Settings outside the bounds of their declarations are refused when they are made."""

import math
from dataclasses import fields
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest

from samereg.errors import UsageError
from samereg.estimate.coarse import RegularisedFill
from samereg.estimate.instance import InstanceLevel, InstanceSettings
from samereg.matching.filters import StableFilter, ThresholdFilter
from samereg.matching.reduce import Reduction
from samereg.matching.search import Search
from samereg.pipeline.affine import AffineStage
from samereg.pipeline.coarse import CoarseStage
from samereg.pipeline.confidence import Confidence
from samereg.pipeline.query import Query
from samereg.validation import Range

LEVEL = {"lattice_cells": 1, "image_stride": 1, "window_radius": 2, "steps": 6, "rate_cells": 0.1}
SETTINGS = (
    AffineStage,
    CoarseStage,
    Confidence,
    InstanceLevel,
    InstanceSettings,
    Query,
    Reduction,
    RegularisedFill,
    Search,
    StableFilter,
    ThresholdFilter,
)


def bounded_numbers():
    for kind in SETTINGS:
        hints = get_type_hints(kind, include_extras=True)
        for each in fields(kind):
            if get_origin(hints[each.name]) is Annotated:
                base, bounds = get_args(hints[each.name])
                yield pytest.param(kind, each.name, base, bounds, id=f"{kind.__name__}-{each.name}")


@pytest.mark.parametrize(("kind", "name", "base", "bounds"), list(bounded_numbers()))
def test_a_number_out_of_bounds_is_refused_by_name(kind, name, base, bounds):
    given = LEVEL if kind is InstanceLevel else {}
    low = bounds.low - 1 if bounds.low is not None else bounds.above
    wrong = [base(low), *([math.nan] if base is float else []), *([base(bounds.high + 1)] if bounds.high else [])]
    for value in wrong:
        with pytest.raises(UsageError, match=f"Got {name}=.* for {kind.__name__}; need "):
            kind(**{**given, name: value})


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_every_number_of_these_settings_has_bounds(kind):
    hints = get_type_hints(kind, include_extras=True)
    assert [each.name for each in fields(kind) if hints[each.name] in (int, float)] == []


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "words"),
    [
        (Range(low=1.0), 1, 0, "1 or more"),
        (Range(above=0.0, unit="mm"), 0.1, 0.0, "more than 0 (mm)"),
        (Range(low=0.0, high=1.0), 1, 1.1, "0 or more and 1 or less"),
        (Range(), -5, math.nan, ""),
    ],
)
def test_bounds_say_what_they_allow(bounds, inside, outside, words):
    assert inside in bounds
    assert outside not in bounds
    assert str(bounds) == words
