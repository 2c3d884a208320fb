"""Blocks: where they lie, and fields between their middles."""

import pytest
import torch

from samereg.baselines.lattice import Lattice, consistent_pair

SHAPE = (23, 16, 30)


@pytest.mark.parametrize("spacing", [3, 4, 8])
def test_linear_fields_are_kept_between_the_middles(spacing: int) -> None:
    lattice = Lattice(shape=SHAPE, spacing=spacing)
    slope = torch.tensor([0.1, -0.2, 0.05])
    field = (lattice.middles() * slope).movedim(-1, 0)
    dense = lattice.at_voxels(field)
    first = [round(v + 0.5) for v in lattice.first_middle.tolist()]
    last = [f + (b - 1) * spacing for f, b in zip(first, lattice.blocks, strict=True)]
    axes = [torch.arange(f, e, dtype=torch.float32) for f, e in zip(first, last, strict=True)]
    expected = torch.stack(torch.meshgrid(*axes, indexing="ij")) * slope[:, None, None, None]
    inner = dense[:, first[0] : last[0], first[1] : last[1], first[2] : last[2]]
    torch.testing.assert_close(inner, expected, atol=1e-4, rtol=0)  # rounding of single precision below 10


def test_finer_lattices_read_the_same_field() -> None:
    coarse, fine = Lattice(shape=SHAPE, spacing=8), Lattice(shape=SHAPE, spacing=4)
    field = torch.randn(3, *coarse.blocks, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        coarse.at_middles_of(fine, field), coarse.sample(field, fine.middles()), atol=1e-5, rtol=0
    )


def test_consistent_fields_undo_each_other() -> None:
    lattice = Lattice(shape=(48, 48, 48), spacing=4)
    phase = lattice.middles() / 10.0
    forward = 2.0 * torch.sin(phase.roll(1, -1)).movedim(-1, 0)
    backward = 1.5 * torch.cos(phase).movedim(-1, 0) - forward
    u, v = consistent_pair(forward, backward, lattice, rounds=20)
    there = lattice.middles() + u.movedim(0, -1)
    back = u + lattice.sample(v, there)
    before = forward + lattice.sample(backward, lattice.middles() + forward.movedim(0, -1))
    assert float(back[:, 2:-2, 2:-2, 2:-2].abs().mean()) < 0.05 * float(before.abs().mean())
