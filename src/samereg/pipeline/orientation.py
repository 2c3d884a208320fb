"""Orientation check of two scans: detects wrong orientations in headers, and refuses mirrored scans.

The embedding depends on orientation. Of all right-angled rotations of a scan, the correct one makes
it most similar to the other scan, and a mirror image is less similar than the scan itself. Right angles
only; other rotations are left to the affine fit.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from jaxtyping import Bool, Float, Float64
from torch import Tensor

from samereg.errors import MirroredError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain_all, parts
from samereg.geometry.grid import Grid
from samereg.geometry.orientation import AS_STORED, MIRRORED, Orientation, every_orientation, turned, turning
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.preprocess import to_isotropic
from samereg.image.resample import resample_volume
from samereg.matching.embed import Embedder
from samereg.matching.points import grid_points
from samereg.matching.search import Search, candidates, search
from samereg.pipeline.pair import Pair, PreparedScan, prepare_model

_LOG = logging.getLogger(__name__)

MIN_POINTS = 20
"""Minimum number of points in the fixed body to determine its orientation."""

MIN_SIMILARITY = -1.0
"""Minimum cosine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turns:
    """Rotations that correct the stored orientations of a pair.

    Attributes:
        fixed: of the fixed scan.
        moving: of the moving scan.
        sides_checked: whether a mirrored scan would have been detected; False without a search.
    """

    fixed: Orientation = AS_STORED
    moving: Orientation = AS_STORED
    sides_checked: bool = True

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user, without a full stop."""
        named = (("fixed", self.fixed), ("moving", self.moving))
        notes = [
            f"the {name} scan is stored turned: it was {orientation.words} before it was registered; check what its "
            "header says of the patient's position"
            for name, orientation in named
            if orientation != AS_STORED
        ]
        if not self.sides_checked:
            notes.append("left and right look too similar in these scans to detect whether one of them is mirrored")
        return tuple(notes)


def turned_pair(pair: Pair, turns: Turns) -> Pair:
    """The pair in corrected worlds; scans with correct orientation are unchanged."""
    return replace(
        pair,
        fixed=_turned_scan(pair.fixed, turns.fixed, pair.embedder),
        moving=_turned_scan(pair.moving, turns.moving, pair.embedder),
    )


def worlds(pair: Pair, turns: Turns) -> tuple[Affine, Affine]:
    """Maps from stored to corrected world, of the fixed and of the moving scan.

    Args:
        pair: as stored.
        turns: of its scans.
    """
    return turning(pair.fixed.model.grid, turns.fixed), turning(pair.moving.model.grid, turns.moving)


def between(first: Affine, transform: Transform, then: Affine) -> Transform:
    """A transform with a change of coordinates before and after it."""
    return chain_all((first, *parts(transform), then))


@dataclass(frozen=True, kw_only=True, slots=True)
class OrientationSearch:
    """Settings of the orientation search; bounds from docs/decisions/0010.

    Attributes:
        spacing_mm: voxel size of the embedding for this, twice that of training: an eighth of the work.
        stride_vox: spacing of the matched points of the fixed scan.
        search: settings of the search.
        familiar: mean similarity that only correct orientations reach; above it, only the mirror image is tried.
        lead: margin over the other half turns at which a half turn, or the stored orientation, ends the
            search.
        gain: minimum margin of a rotation or mirror image over the stored orientation, and over all others
            except its own mirror image; and of an orientation over its mirror image to determine the side.
    """

    spacing_mm: float = 4.0
    stride_vox: int = 8
    search: Search = field(default_factory=lambda: Search(stride_vox=4))
    familiar: float = 0.7
    lead: float = 0.02
    gain: float = 0.01

    def run(self, pair: Pair) -> Turns:
        """Rotations that correct a pair.

        Raises:
            MirroredError: one scan is the mirror image of anatomy like that of the other.
        """
        fixed, moving = _Coarse.of(pair.fixed, self.spacing_mm), _Coarse.of(pair.moving, self.spacing_mm)
        known = self._known(fixed, pair.embedder)
        if len(known.points_mm) < MIN_POINTS:
            return Turns(sides_checked=False)
        found: dict[Orientation, float] = {}
        for group in _groups():
            found |= {each: self._similarity(known, moving.turned(each), pair.embedder) for each in group}
            if self._is_settled(found):
                break
        best = max(found, key=found.__getitem__)
        _LOG.info("orientation: %s, similarity %.3f; as stored %.3f", best.words, found[best], found[AS_STORED])
        if not self._is_believed(best, found):
            best = AS_STORED
        if best.is_mirror:
            raise MirroredError(_mirror_sentence(best, found[best], found[AS_STORED]))
        turns = Turns() if best == AS_STORED else self._which(fixed, moving, best, pair.embedder, found[best])
        return replace(turns, sides_checked=found[best] >= found[best.mirrored()] + self.gain)

    def _is_settled(self, found: Mapping[Orientation, float]) -> bool:
        """Whether the best orientation so far is similar enough, or far enough ahead, to stop the search."""
        turns = sorted((value for each, value in found.items() if not each.is_mirror), reverse=True)
        return max(found.values()) >= self.familiar or (len(turns) > 1 and turns[0] - turns[1] >= self.lead)

    def _is_believed(self, best: Orientation, found: Mapping[Orientation, float]) -> bool:
        """Whether it is significantly better than the stored orientation, and than all but its own mirror image."""
        rivals = [value for each, value in found.items() if each not in (best, best.mirrored())]
        return found[best] >= max([found[AS_STORED], *rivals]) + self.gain

    def _which(self, fixed: "_Coarse", moving: "_Coarse", turn: Orientation, embedder: Embedder, alike: float) -> Turns:
        """Determines which scan is rotated: the embedding is most distinctive for upright anatomy."""
        back = turn.inverse()
        other = self._similarity(self._known(fixed.turned(back), embedder), moving, embedder)
        return Turns(fixed=back) if other > alike else Turns(moving=turn)

    def _known(self, scan: "_Coarse", embedder: Embedder) -> "_QueryPoints":
        """Points of the fixed body and their embeddings."""
        points_mm = grid_points(scan.model.grid, body=scan.body, stride_vox=self.stride_vox)
        return _QueryPoints(points_mm=points_mm, queries=embedder.embed(scan.model).at(points_mm))

    def _similarity(self, known: "_QueryPoints", scan: "_Coarse", embedder: Embedder) -> float:
        """Mean similarity of points to their best matches in a scan."""
        points_mm = grid_points(scan.model.grid, body=scan.body, stride_vox=self.search.stride_vox)
        if not len(points_mm):
            return MIN_SIMILARITY
        embedded = embedder.embed(scan.model)
        places = candidates(embedded, points_mm)
        found = search(known.queries, known.points_mm, places, embedded, settings=self.search)
        return float(found.similarity.mean())


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _QueryPoints:
    points_mm: Float64[Tensor, "n 3"]
    queries: Float[Tensor, "n e"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Coarse:
    """A model-space scan with larger voxels, and its body."""

    model: Volume
    body: Bool[Tensor, "d h w"]

    @staticmethod
    def of(scan: PreparedScan, spacing_mm: float) -> "_Coarse":
        model = replace(to_isotropic(scan.model, spacing_mm=spacing_mm), background=scan.model.background)
        body = Volume(data=scan.body[None].float().cpu(), grid=scan.model.grid, background=0.0)
        inside = resample_volume(body, Affine.identity(), model.grid, mode="nearest")
        return _Coarse(model=model, body=inside.data[0] > 0)

    def turned(self, orientation: Orientation) -> "_Coarse":
        if orientation == AS_STORED:
            return self
        body = Volume(data=self.body[None].float(), grid=self.model.grid, background=0.0)
        return _Coarse(model=turned(self.model, orientation), body=turned(body, orientation).data[0] > 0.5)


def _turned_scan(scan: PreparedScan, orientation: Orientation, embedder: Embedder) -> PreparedScan:
    if orientation == AS_STORED:
        return scan
    prepared = prepare_model(turned(scan.model, orientation), embedder, volume=scan.volume)
    whole = Grid(shape=scan.whole.shape, affine=turning(scan.model.grid, orientation).matrix @ scan.whole.affine)
    return replace(prepared, whole=whole)


def _groups() -> tuple[Sequence[Orientation], ...]:
    """Orientations in the order in which they are tried."""
    rest = [each for each in every_orientation() if each not in (AS_STORED, MIRRORED)]
    return (
        (AS_STORED, MIRRORED),
        [each for each in rest if each.keeps_axes],
        [each for each in rest if not each.keeps_axes],
    )


def _mirror_sentence(best: Orientation, alike: float, stored: float) -> str:
    return (
        f"one of the scans seems to be a mirror image: the moving scan {best.words} is more like the fixed one "
        f"({alike:.2f}) than as it is stored ({stored:.2f}); check how both files were made and what their headers say "
        "of left and right (a person whose organs are on the other side looks the same: --orientation header)"
    )
