"""Recipes: functions that return stages; the only module that resolves names of stages and filters."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, TypedDict, Unpack

from samereg.errors import UsageError
from samereg.estimate.deform import Deformer
from samereg.matching.filters import MatchFilter, StableFilter, ThresholdFilter
from samereg.pipeline.affine import AffineModel, AffineStage
from samereg.pipeline.centre import CentreStage
from samereg.pipeline.coarse import CoarseStage, Filler
from samereg.pipeline.deform import DeformStage
from samereg.pipeline.instance import InstanceStage
from samereg.pipeline.orientation import OrientationSearch
from samereg.pipeline.stage import Stage

FilterName = Literal["stable", "threshold"]

FILTERS: dict[FilterName, MatchFilter] = {"stable": StableFilter(), "threshold": ThresholdFilter()}

OrientationName = Literal["find", "header"]

ORIENTATIONS: dict[OrientationName, OrientationSearch | None] = {"find": OrientationSearch(), "header": None}
"""Orientation search by name of the setting; None trusts the headers."""

PresetName = Literal["default", "best", "fast", "affine"]


class Choices(TypedDict):
    """Settings of every recipe with a coarse stage."""

    match_filter: FilterName
    affine_model: AffineModel
    filler: Filler
    seed: int
    orientation: OrientationName


Variant = Literal["vm", "sam-loss", "sam-corr", "sam-vm"]
"""Deformation networks of the paper's table 2."""


def affine_only(
    *,
    match_filter: FilterName = "stable",
    affine_model: AffineModel = "affine",
    seed: int = 0,
    orientation: OrientationName = "find",
) -> tuple[Stage, ...]:
    """SAM-affine alone (SA of the paper's table 1)."""
    chosen = ORIENTATIONS[orientation]
    return (AffineStage(model=affine_model, filter=FILTERS[match_filter], seed=seed, orientation=chosen),)


def fast(
    *,
    match_filter: FilterName = "stable",
    affine_model: AffineModel = "affine",
    filler: Filler = "regularised",
    seed: int = 0,
    orientation: OrientationName = "find",
) -> tuple[Stage, ...]:
    """SAM-affine, then SAM-coarse (SA + SC of the paper's table 1)."""
    affine = affine_only(match_filter=match_filter, affine_model=affine_model, seed=seed, orientation=orientation)
    return (*affine, CoarseStage(filler=filler, filter=FILTERS[match_filter]))


def same(
    deformer: Deformer,
    *,
    match_filter: FilterName = "stable",
    affine_model: AffineModel = "affine",
    filler: Filler = "regularised",
    seed: int = 0,
    orientation: OrientationName = "find",
) -> tuple[Stage, ...]:
    """The paper's method: SAM-affine, SAM-coarse, SAM-VoxelMorph (SA + SC + SAM-VM of its table 1)."""
    affine = affine_only(match_filter=match_filter, affine_model=affine_model, seed=seed, orientation=orientation)
    coarse = replace(smooth_coarse(), filler=filler, filter=FILTERS[match_filter])
    return (*affine, coarse, DeformStage(deformer=deformer))


def smooth_coarse() -> CoarseStage:
    """SAM-coarse for use before a finer stage: smoother, because that stage adds detail.

    On six validation pairs, smoothing lengths of 12.0, 12.5 and 13.0 mm give 88.6, 88.4 and 88.2 % Dice after
    SAM-VoxelMorph, and 0.40, 0.39 and 0.38 as the standard deviation of the Jacobian determinant.
    """
    stage = CoarseStage()
    return replace(stage, last_fill=replace(stage.last_fill, smoothing_mm=12.5))


def same_plus(
    deformer: Deformer,
    *,
    match_filter: FilterName = "stable",
    affine_model: AffineModel = "affine",
    filler: Filler = "regularised",
    seed: int = 0,
    orientation: OrientationName = "find",
) -> tuple[Stage, ...]:
    """SAME++: the paper's method, then instance optimisation of a diffeomorphic field."""
    before = same(
        deformer,
        match_filter=match_filter,
        affine_model=affine_model,
        filler=filler,
        seed=seed,
        orientation=orientation,
    )
    return (*before, InstanceStage())


def preset(
    name: PresetName,
    deformer: Deformer | None,
    **choices: Unpack[Choices],
) -> tuple[Stage, ...]:
    """The stages of a preset of `samereg register`.

    Args:
        name: default, best, fast or affine.
        deformer: the deformation network; needed by default and best.
        choices: settings of the recipes.

    Raises:
        UsageError: an unknown name, or a required network is not given.
    """
    if name == "fast":
        return fast(**choices)
    if name == "affine":
        return affine_only(
            match_filter=choices["match_filter"],
            affine_model=choices["affine_model"],
            seed=choices["seed"],
            orientation=choices["orientation"],
        )
    if name not in ("default", "best") or deformer is None:
        raise UsageError(
            f"There is no preset '{name}' without a deformation network; need default, best, fast, affine."
        )
    return same_plus(deformer, **choices) if name == "best" else same(deformer, **choices)


Deformers = Mapping[tuple[str, str], Deformer]
"""Networks by the alignment used in training (`affine` or `fast`) and by variant."""

_AFFINE = AffineStage()
_COARSE = CoarseStage()
_COARSE_BEFORE_VM = smooth_coarse()

_NAMED: dict[str, Callable[[Deformers], tuple[Stage, ...]]] = {
    "SA": lambda _: (_AFFINE,),
    "SC": lambda _: (CentreStage(), _COARSE),
    "SA+SC": lambda _: (_AFFINE, _COARSE),
    "SA+VM": lambda nets: (_AFFINE, DeformStage(deformer=nets["affine", "vm"])),
    "SA+SAM-loss": lambda nets: (_AFFINE, DeformStage(deformer=nets["affine", "sam-loss"])),
    "SA+SAM-corr": lambda nets: (_AFFINE, DeformStage(deformer=nets["affine", "sam-corr"])),
    "SA+SAM-VM": lambda nets: (_AFFINE, DeformStage(deformer=nets["affine", "sam-vm"])),
    "SA+SC+VM": lambda nets: (_AFFINE, _COARSE_BEFORE_VM, DeformStage(deformer=nets["fast", "vm"])),
    "SA+SC+SAM-VM": lambda nets: (_AFFINE, _COARSE_BEFORE_VM, DeformStage(deformer=nets["fast", "sam-vm"])),
}

TABLE_1 = ("SA", "SC", "SA+SC", "SA+VM", "SA+SAM-VM", "SA+SC+VM", "SA+SC+SAM-VM")
"""SAME's own rows of the paper's table 1."""

TABLE_2 = ("SA+VM", "SA+SAM-loss", "SA+SAM-corr", "SA+SAM-VM")
"""The paper's table 2: without SAM-coarse, as there."""


def named_recipe(name: str, deformers: Deformers, *, match_filter: FilterName = "stable") -> tuple[Stage, ...]:
    """A row of the paper's tables by name.

    Args:
        name: of `TABLE_1` or `TABLE_2`.
        deformers: at least the network that the row uses; none for rows without VM.
        match_filter: match filter of the affine and coarse stages.

    Raises:
        UsageError: an unknown name, or its network is not given.
    """
    if name not in _NAMED:
        raise UsageError(f"Unknown recipe '{name}'; need one of {', '.join(_NAMED)}.")
    try:
        stages = _NAMED[name](deformers)
    except KeyError as error:
        raise UsageError(f"The recipe '{name}' needs the network {error}, which is not given.") from error
    return tuple(_filtered(stage, FILTERS[match_filter]) for stage in stages)


def _filtered(stage: Stage, match_filter: MatchFilter) -> Stage:
    if isinstance(stage, AffineStage | CoarseStage):
        return replace(stage, filter=match_filter)
    return stage
