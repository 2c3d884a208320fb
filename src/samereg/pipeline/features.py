"""Resampling of a pair onto the fixed lattice, with embeddings, for the fine stages."""

from dataclasses import replace

from samereg.estimate.aligned import AlignedScans, align_scans
from samereg.geometry.transform import Transform
from samereg.matching.reduce import Reduction, find_basis, reduced_map
from samereg.pipeline.guidance import counted_voxels
from samereg.pipeline.pair import Pair


def aligned_scans(pair: Pair, start: Transform, *, reduction: Reduction) -> AlignedScans:
    """The scans aligned by `start`, with embeddings reduced by a basis of this pair.

    What the masks of the pair exclude counts as not seen.

    Args:
        pair: both scans.
        start: fixed world to moving world.
        reduction: dimensions kept of the embeddings.
    """
    basis = find_basis([pair.fixed.embedded, pair.moving.embedded], reduction)
    features = (reduced_map(pair.fixed.embedded, basis), reduced_map(pair.moving.embedded, basis))
    scans = align_scans(pair.fixed.model, pair.moving.model, features, start)
    counted = counted_voxels(pair, start)
    return scans if counted is None else replace(scans, seen=scans.seen * counted.to(scans.seen))
