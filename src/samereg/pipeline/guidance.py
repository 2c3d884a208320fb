"""What a user knows about a pair, brought to the stages: landmarks, and masks of what counts."""

import logging
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from samereg.errors import InputError
from samereg.estimate.affine import fit_rigid
from samereg.estimate.aligned import CELL_VOX
from samereg.estimate.outcome import Outcome
from samereg.estimate.pinning import pin
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.resample import resample_volume
from samereg.matching.landmarks import Landmarks, contradictions, no_landmarks
from samereg.matching.matches import Matches
from samereg.matching.points import mask_at
from samereg.matching.search import Candidates
from samereg.ops.filters import gaussian_smooth
from samereg.pipeline.pair import Pair, PreparedScan
from samereg.pipeline.stage import StageResult

_LOG = logging.getLogger(__name__)

LOST_MM = 30.0
"""A start that misses a landmark by more is moved onto the landmarks: SAM-coarse would look in the wrong place."""

FILLED_CELLS = 4.0
"""Standard deviation of the smoothing by which a field is continued into places that do not count, 16 mm."""

MIN_KNOWN = 1e-3
"""Share of known cells around a place below which a field fades there instead of being continued."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Guidance:
    """What a user knows about two scans, in their worlds as stored.

    Attributes:
        landmarks: pairs of points that are the same anatomy.
        fixed_mask: above 0 where the fixed scan counts, on any grid; None for everywhere.
        moving_mask: the same for the moving scan.
    """

    landmarks: Landmarks = field(default_factory=no_landmarks)
    fixed_mask: Volume | None = None
    moving_mask: Volume | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LandmarkResidual:
    """How one landmark is kept, distances in mm.

    Attributes:
        name: of the landmark.
        start_mm: before anything was done: by the worlds of both scans as they are stored, or by the given start.
        found_mm: as the stages before the last correction left it.
        left_mm: by the result.
    """

    name: str
    start_mm: float
    found_mm: float
    left_mm: float


def guided(pair: Pair, guidance: Guidance, worlds: tuple[Affine, Affine], start: Transform | None) -> Pair:
    """The pair with what the user knows about it.

    Args:
        pair: both scans as they lie.
        guidance: in the worlds as stored.
        worlds: world as stored to world as it is, of both scans.
        start: fixed world to moving world, if given from elsewhere.

    Raises:
        InputError: landmarks that contradict each other, or a mask that leaves nothing of the body.
    """
    landmarks = guidance.landmarks.in_worlds(*worlds)
    found = contradictions(landmarks, start)
    if found:
        raise InputError(f"landmarks: {'; '.join(found)}; need landmarks that a map without folds can keep.")
    return replace(
        pair,
        fixed=_masked(pair.fixed, guidance.fixed_mask, worlds[0], name="fixed"),
        moving=_masked(pair.moving, guidance.moving_mask, worlds[1], name="moving"),
        landmarks=landmarks,
    )


def residuals(
    landmarks: Landmarks, start: Transform, found: Transform, last: Transform
) -> tuple[LandmarkResidual, ...]:
    """How each landmark is kept by three transforms; see `LandmarkResidual`."""
    columns = [landmarks.residual_mm(each).tolist() for each in (start, found, last)]
    return tuple(
        LandmarkResidual(name=name, start_mm=round(a, 2), found_mm=round(b, 2), left_mm=round(c, 2))
        for name, a, b, c in zip(landmarks.names, *columns, strict=True)
    )


def only_counted(pair: Pair, matches: Matches) -> Matches:
    """The same matches, those that fall on places of the moving scan that do not count no longer used."""
    if pair.moving.mask is None:
        return matches
    return replace(matches, used=matches.used & mask_at(pair.moving.counted, pair.moving.model.grid, matches.moving_mm))


def counted_voxels(pair: Pair, transform: Transform) -> Float[Tensor, "1 d h w"] | None:
    """1 at voxels of the fixed model grid that count in both scans; None where there are no masks.

    Args:
        pair: both scans.
        transform: fixed world to moving world.
    """
    fixed, moving = pair.fixed, pair.moving
    if fixed.mask is None and moving.mask is None:
        return None
    counted = torch.ones(1, *fixed.model.grid.shape) if fixed.mask is None else fixed.mask[None].float().cpu()
    if moving.mask is None:
        return counted
    there = Volume(data=moving.mask[None].float().cpu(), grid=moving.model.grid, background=1.0)
    return counted * resample_volume(there, transform, fixed.model.grid, mode="nearest").data


def continued(
    field_cells: Float[Tensor, "1 3 d h w"], pair: Pair, seen: Float[Tensor, "1 fd fh fw"]
) -> Float[Tensor, "1 3 d h w"]:
    """A field that places which do not count have no part in: it is continued into them from around, smoothly.

    Args:
        field_cells: at the cells of the fixed scan.
        pair: with its masks; without any the field comes back as it is.
        seen: 1 at voxels that are seen and count, finer than the cells; as of `AlignedScans`.
    """
    if pair.fixed.mask is None and pair.moving.mask is None:
        return field_cells
    known = seen[None, :, ::CELL_VOX, ::CELL_VOX, ::CELL_VOX].to(field_cells)
    sums = gaussian_smooth(torch.cat([field_cells * known, known], dim=1), (FILLED_CELLS,) * 3)
    return torch.where(known > 0.5, field_cells, sums[:, :3] / sums[:, 3:].clamp(min=MIN_KNOWN))


@dataclass(frozen=True, kw_only=True, slots=True)
class StartStage:
    """Moves a start from elsewhere onto the landmarks where it misses them by far; otherwise leaves it alone.

    Attributes:
        lost_mm: distance by which the start has to miss a landmark.
    """

    lost_mm: float = LOST_MM

    @property
    def name(self) -> str:
        """Word for logs and records."""
        return "start"

    def run(self, pair: Pair, before: StageResult) -> StageResult:
        """What was found before, followed by the rigid map (or, of few landmarks, the shift) onto the landmarks."""
        missed_mm = float(pair.landmarks.residual_mm(before.transform).max())
        if missed_mm <= self.lost_mm:
            message = f"misses the landmarks by up to {missed_mm:.0f} mm"
            return replace(before, outcome=Outcome(converged=True, message=message, iterations=0))
        landed = replace(pair.landmarks, fixed_mm=before.transform.apply(pair.landmarks.fixed_mm))
        moved = chain(before.transform, rough_map(landed))
        message = f"missed the landmarks by up to {missed_mm:.0f} mm and was moved onto them"
        _LOG.warning("the start %s", message)
        return replace(before, transform=moved, outcome=Outcome(converged=True, message=message, iterations=1))


@dataclass(frozen=True, kw_only=True, slots=True)
class LandmarkStage:
    """Keeps the landmarks that the stages before have left a little: a small smooth correction around each."""

    @property
    def name(self) -> str:
        """Word for logs and records."""
        return "landmarks"

    def run(self, pair: Pair, before: StageResult) -> StageResult:
        """What was found before, followed by the correction; matches are none of its own."""
        pinned = pin(before.transform, pair.landmarks)
        if not pinned.outcome.converged:
            _LOG.warning("%s", pinned.outcome.message)
        return StageResult(transform=pinned.transform, matches=None, outcome=pinned.outcome)


def rough_map(landmarks: Landmarks) -> Affine:
    """Rigid map that best carries the fixed landmarks to the moving ones; of too few landmarks for that, a shift."""
    if landmarks.give_a_rotation:
        weights = torch.ones(len(landmarks), dtype=torch.float64)
        return fit_rigid(landmarks.fixed_mm, landmarks.moving_mm, weights=weights)
    shift_mm: Float64[Tensor, "3"] = (landmarks.moving_mm - landmarks.fixed_mm).mean(dim=0)
    return Affine.from_parts(torch.eye(3, dtype=torch.float64), shift_mm)


def _masked(scan: PreparedScan, mask: Volume | None, to_world: Affine, *, name: str) -> PreparedScan:
    if mask is None:
        return scan
    on_model = resample_volume(mask, to_world.inverse(), scan.model.grid, mode="nearest").data[0] > 0
    found = replace(scan, mask=on_model.to(scan.body.device))
    kept: Bool[Tensor, " m"] = mask_at(found.counted, scan.model.grid, scan.places.points_mm)
    if not bool(kept.any()):
        label = mask.source.label if mask.source.path else f"the {name} mask"
        raise InputError(f"{label}: leaves nothing of the body in the {name} scan; need a mask that holds anatomy.")
    places = Candidates(
        points_mm=scan.places.points_mm[kept], embeddings=scan.places.embeddings[kept.to(scan.places.embeddings.device)]
    )
    return replace(found, places=places)
