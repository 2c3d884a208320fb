"""Dimensionality reduction of dense embeddings: approximates inner products at a fifth of the memory."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.matching.embed import EmbeddedVolume
from samereg.nets.embedding import rows_of, shape_of
from samereg.ops.sample import upsample_aligned
from samereg.validation import Count, check_ranges

SAMPLED_CELLS = 6000
"""Sampled cells per scan for computing a basis."""

CHUNK_ROWS = 1 << 16
"""Cells projected at a time: 16 MB of full embeddings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reduction:
    """Dimensions of reduced embeddings.

    Attributes:
        local: dimensions of the local embedding; more resolve finer differences and cost more.
        global_: dimensions of the global embedding.
    """

    local: Count = 32
    global_: Count = 16

    def __post_init__(self) -> None:
        """Check the bounds of all numbers."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Basis:
    """Orthonormal basis of the principal directions of embeddings.

    Attributes:
        local: of the local embedding, one column per direction.
        global_: of the global embedding.
    """

    local: Float[Tensor, "e kl"]
    global_: Float[Tensor, "e kg"]


def find_basis(embedded: list[EmbeddedVolume], reduction: Reduction) -> Basis:
    """Basis that best preserves the inner products between the cells of the given scans.

    The first eigenvectors of the second-moment matrix: the basis of that size that preserves most of
    the squared norm of the embeddings.

    Args:
        embedded: scans embedded by the same network; at least one.
        reduction: numbers of dimensions.
    """
    local, global_ = [], []
    with torch.inference_mode():
        for scan in embedded:
            local.append(scan.heads.project_local(_some(rows_of(scan.local))).float())
            global_.append(scan.heads.project_global(_some(rows_of(scan.global_))).float())
        return Basis(
            local=_directions(torch.cat(local), reduction.local),
            global_=_directions(torch.cat(global_), reduction.global_),
        )


def reduced_map(scan: EmbeddedVolume, basis: Basis) -> Float[Tensor, "k d h w"]:
    """Joint embeddings of a scan in a basis, on the lattice of its local features.

    Inner products of two such maps approximate the mean of local and global cosine.
    The global part is interpolated linearly between its coarser cells.

    Returns:
        Single precision, channels last in memory.
    """
    shape = shape_of(scan.local)
    with torch.inference_mode():
        local = _projected(rows_of(scan.local), scan.heads.project_local, basis.local)
        global_ = _projected(rows_of(scan.global_), scan.heads.project_global, basis.global_)
        coarse = global_.view(*shape_of(scan.global_), -1).permute(3, 0, 1, 2)[None]
        stride = scan.strides[1] // scan.strides[0]
        while stride > 1:
            stride //= 2
            size = (-(-shape[0] // stride), -(-shape[1] // stride), -(-shape[2] // stride))
            coarse = upsample_aligned(coarse, size)
        dense = torch.cat([local, coarse[0].permute(1, 2, 3, 0).reshape(len(local), -1)], 1) * sqrt(0.5)
    # Cloned outside inference mode, so that training can use it.
    return dense.clone().view(*shape, -1).permute(3, 0, 1, 2)


def _some(rows: Tensor) -> Tensor:
    return rows[:: max(1, len(rows) // SAMPLED_CELLS)]


def _directions(embeddings: Tensor, count: int) -> Tensor:
    moments = embeddings.T.double() @ embeddings.double()
    vectors: Tensor = torch.linalg.eigh(moments).eigenvectors
    return vectors.flip(1)[:, :count].float()


def _projected(rows: Tensor, project: Callable[[Tensor], Tensor], directions: Tensor) -> Tensor:
    parts = [project(chunk).float() @ directions for chunk in rows.split(CHUNK_ROWS)]
    return torch.cat(parts)
