"""Matches between training scans by the embedding in training.

As in UAE (Bai et al. 2023), two scans are registered with the embedding's own stable matches, and matches that agree
with the smooth map are used to learn anatomical variation between subjects.
"""

import copy
import logging

import torch

from samereg.errors import DegeneratePointsError
from samereg.estimate.affine import fit_affine, fit_robust
from samereg.estimate.coarse import RegularisedFill, fill_regularised
from samereg.geometry.chain import chain
from samereg.matching.embed import EmbeddedVolume, EmbedderRecord, NetEmbedder
from samereg.matching.filters import StableFilter
from samereg.matching.points import grid_points
from samereg.matching.search import Candidates, Search, candidates, match
from samereg.nets.blocks import fold
from samereg.nets.embedding import EmbeddingNet
from samereg.training.batches import CrossPair
from samereg.training.scans import TrainingScan

_LOG = logging.getLogger(__name__)

MIN_POINTS = 200
"""Minimum number of agreeing matches of a pair."""

MAX_RESIDUAL_MM = 10.0
"""Maximum distance in mm of correct matches from the smooth map."""

POINT_STRIDE_VOX = 6

SCANS_OF_A_PAIR = 2


def find_crosses(
    net: EmbeddingNet,
    scans: list[TrainingScan],
    *,
    count: int,
    generator: torch.Generator,
    device: torch.device,
    dtype: torch.dtype,
) -> list[CrossPair]:
    """Finds corresponding points of random pairs of scans.

    Args:
        net: embedding network; not modified.
        scans: to form pairs.
        count: number of pairs to try; those with too little common anatomy are skipped.
        generator: for sampling the pairs.
        device: of the embedding.
        dtype: of the embedding.

    Returns:
        For each pair, points of the first scan and their positions in the second by the smooth map.
    """
    if len(scans) < SCANS_OF_A_PAIR:
        _LOG.info("no pairs of scans to match: there is only one scan")
        return []
    folded = copy.deepcopy(net).eval()
    fold(folded)
    record = EmbedderRecord(name="in training", checksum="", network="", precision=str(dtype))
    embedder = NetEmbedder(net=folded.to(device), device=device, dtype=dtype, record=record)
    embedded = [_embed(scan, embedder) for scan in scans]
    crosses = []
    for _ in range(count):
        first, second = torch.randperm(len(scans), generator=generator)[:SCANS_OF_A_PAIR].tolist()
        cross = _cross(first, second, scans, embedded)
        if cross is not None:
            crosses.append(cross)
    points = sum(len(cross.first_vox) for cross in crosses)
    _LOG.info("%d of %d pairs of scans matched, %d points", len(crosses), count, points)
    return crosses


_Embedded = tuple[EmbeddedVolume, Candidates]


def _embed(scan: TrainingScan, embedder: NetEmbedder) -> _Embedded:
    embedded = embedder.embed(scan.volume)
    points_mm = grid_points(scan.volume.grid, body=scan.body, stride_vox=Search().stride_vox)
    return embedded, candidates(embedded, points_mm)


def _cross(first: int, second: int, scans: list[TrainingScan], embedded: list[_Embedded]) -> CrossPair | None:
    """Agreeing matches of one pair of scans; None where there are too few."""
    grid = scans[first].volume.grid
    points_mm = grid_points(grid, body=scans[first].body, stride_vox=POINT_STRIDE_VOX)
    (from_embedded, from_places), (to_embedded, to_places) = embedded[first], embedded[second]
    trusted = StableFilter()
    matches = trusted.keep(
        match(from_embedded, to_embedded, points_mm, fixed_places=from_places, moving_places=to_places)
    )
    used = matches.used
    if int(used.sum()) < MIN_POINTS:
        return None
    fixed_mm, moving_mm, weights = matches.fixed_mm[used], matches.moving_mm[used], trusted.weights(matches)[used]
    try:
        affine = fit_robust(fixed_mm, moving_mm, weights=weights, fit=fit_affine).affine
    except DegeneratePointsError as error:
        _LOG.info("%s and %s skipped: %s", scans[first].name, scans[second].name, error)
        return None
    residual_mm = affine.inverse().apply(moving_mm) - fixed_mm
    solved = fill_regularised(fixed_mm, residual_mm, weights=weights, grid=grid, settings=RegularisedFill())
    smooth_mm = chain(solved.displacement, affine).apply(fixed_mm)
    agree = (smooth_mm - moving_mm).norm(dim=1) < MAX_RESIDUAL_MM
    if int(agree.sum()) < MIN_POINTS:
        return None
    return CrossPair(
        first=first,
        second=second,
        first_vox=grid.to_index(fixed_mm[agree]).float(),
        second_vox=scans[second].volume.grid.to_index(smooth_mm[agree]).float(),
    )
