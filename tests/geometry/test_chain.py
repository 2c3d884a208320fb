import torch

from laws import (
    GRIDS,
    assert_inverse_undoes,
    points_around,
    points_inside,
    rotation,
    smooth_displacement,
)
from samereg.geometry.affine import Affine
from samereg.geometry.chain import Chain, chain, chain_all, parts

GRID = GRIDS["oblique"]
TURN = Affine.from_parts(rotation((0.0, 0.0, 1.0), 4.0), torch.tensor([3.0, -2.0, 1.0], dtype=torch.float64))
SHIFT = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([0.0, 7.0, 0.0], dtype=torch.float64))


def test_applies_first_then_then():
    field = smooth_displacement(GRID)
    points = points_around(GRID)
    assert torch.equal(chain(TURN, field).apply(points), field.apply(TURN.apply(points)))
    assert torch.equal(chain(field, TURN).apply(points), TURN.apply(field.apply(points)))


def test_inverse_undoes_in_the_other_order():
    field = smooth_displacement(GRID, amplitude_mm=4.0, fades=True)
    both = chain(TURN, field)
    assert isinstance(both, Chain)
    # An eighth of the 4 mm lattice's curvature error: h^2 / 8 * |u''| is 0.03 mm.
    assert_inverse_undoes(both, both.inverse(), points_inside(GRID, margin_vox=2.0), tolerance_mm=0.1)


def test_neighbouring_affine_maps_become_one():
    merged = chain(TURN, SHIFT)
    assert isinstance(merged, Affine)
    points = points_around(GRID)
    torch.testing.assert_close(merged.apply(points), SHIFT.apply(TURN.apply(points)), atol=1e-9, rtol=0)


def test_merges_across_nested_chains():
    field = smooth_displacement(GRID)
    nested = chain(chain(field, TURN), chain(SHIFT, field))
    assert [type(part).__name__ for part in parts(nested)] == ["Displacement", "Affine", "Displacement"]


def test_identities_vanish():
    field = smooth_displacement(GRID)
    assert chain(Affine.identity(), field) is field
    assert chain(field, Affine.identity()) is field
    assert isinstance(chain(Affine.identity(), Affine.identity()), Affine)
    undone = chain_all([field, SHIFT, SHIFT.inverse()])
    assert undone is field


def test_an_empty_chain_is_the_identity():
    points = points_around(GRID)
    assert torch.equal(chain_all([]).apply(points), points)
