"""Recipes: functions that return stages. The one place where names become match filters."""

from typing import Literal

from samereg.matching.filters import MatchFilter, StableFilter, ThresholdFilter
from samereg.pipeline.affine import AffineModel, AffineStage
from samereg.pipeline.coarse import CoarseStage, Filler
from samereg.pipeline.stage import Stage

FilterName = Literal["stable", "threshold"]

FILTERS: dict[FilterName, MatchFilter] = {"stable": StableFilter(), "threshold": ThresholdFilter()}


def affine_only(
    *, match_filter: FilterName = "stable", affine_model: AffineModel = "affine", seed: int = 0
) -> tuple[Stage, ...]:
    """SAM-affine alone (SA of the paper's table 1)."""
    return (AffineStage(model=affine_model, filter=FILTERS[match_filter], seed=seed),)


def fast(
    *,
    match_filter: FilterName = "stable",
    affine_model: AffineModel = "affine",
    filler: Filler = "regularised",
    seed: int = 0,
) -> tuple[Stage, ...]:
    """SAM-affine, then SAM-coarse (SA + SC of the paper's table 1)."""
    affine = AffineStage(model=affine_model, filter=FILTERS[match_filter], seed=seed)
    return affine, CoarseStage(filler=filler, filter=FILTERS[match_filter])
