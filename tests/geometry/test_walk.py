import pytest
import torch

from laws import GRIDS, every_grid, rotation, smooth_displacement
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain_all
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, padded, strided
from samereg.geometry.spline import Spline
from samereg.geometry.velocity import Velocity
from samereg.geometry.walk import boxes, walk

SOURCE = GRIDS["anisotropic"]
TURN = Affine.from_parts(1.1 * rotation((1.0, 0.5, 2.0), 12.0), torch.tensor([3.0, -2.0, 5.0], dtype=torch.float64))
SMALL = (11, 24, 19)


def coarse_field(grid: Grid, margin: int = 8) -> Displacement:
    return smooth_displacement(strided(padded(grid, (margin,) * 3, (margin,) * 3), 3), amplitude_mm=4.0)


def velocity(grid: Grid) -> Velocity:
    field = coarse_field(grid)
    return Velocity(grid=field.grid, data=field.data)


def one_slice(grid: Grid) -> Displacement:
    return Displacement(grid=Grid(shape=(1, 40, 40), affine=grid.affine), data=torch.ones(3, 1, 40, 40))


def spline(grid: Grid) -> Spline:
    control = strided(grid, 4)
    return Spline(grid=control, data=torch.randn(3, *control.shape, dtype=torch.float64))


CHAINS = {
    "affine": lambda _: (TURN,),
    "field, flow and affine": lambda grid: (coarse_field(grid), velocity(grid), TURN),
    "affine, then fields": lambda grid: (TURN, coarse_field(grid, 20), TURN, coarse_field(grid, 30)),
    "fields that end inside": lambda grid: (coarse_field(grid, -3), coarse_field(grid, -2), TURN),
    "a field of one slice": lambda grid: (one_slice(grid),),
    "a spline": lambda grid: (spline(grid), TURN),
}


@every_grid
@pytest.mark.parametrize("chained", CHAINS)
def test_every_box_lands_where_the_chain_takes_its_points(grid, chained):
    transform = chain_all(CHAINS[chained](grid))
    way = walk(transform, grid, SOURCE)
    for box in boxes(grid.shape, SMALL):
        exact = way.exact(box)
        for dtype, atol in ((torch.float32, 1e-3), (torch.float64, 1e-4)):
            torch.testing.assert_close(way.positions(box, dtype).index(), exact, atol=atol, rtol=0)


def test_extremes_of_a_box_are_those_of_its_positions():
    landed = walk(TURN, GRIDS["LPS"], SOURCE).positions(boxes(GRIDS["LPS"].shape, SMALL)[3])
    index = landed.index().flatten(0, 2)
    assert landed.low == pytest.approx(index.amin(0).tolist())
    assert landed.high == pytest.approx(index.amax(0).tolist())


def test_boxes_hold_every_voxel_once():
    held = torch.zeros(7, 20, 30)
    for box in boxes((7, 20, 30), SMALL):
        held[box.slices] += 1
    assert bool((held == 1).all())


def test_points_beside_those_that_a_transform_takes_nowhere_land_precisely():
    grid = GRIDS["LPS"]
    data = torch.full((3, *grid.shape), 1.3)
    data[:, ::2] = float("nan")
    data[:, :3] = float("nan")
    whole = boxes(grid.shape, grid.shape)[0]
    way = walk(Displacement(grid=grid, data=data), grid, grid)
    exact, found = way.exact(whole), way.positions(whole, torch.float32).index()
    finite = torch.isfinite(exact).all(-1)
    assert 0 < int(finite.sum()) < finite.numel() // 2
    torch.testing.assert_close(found[finite], exact[finite], atol=1e-3, rtol=0)


def test_points_that_a_transform_takes_nowhere_land_outside():
    grid = GRIDS["LPS"]
    data = torch.zeros(3, *grid.shape)
    data[:, 5] = float("nan")
    way = walk(Displacement(grid=grid, data=data), grid, grid)
    landed = torch.cat([way.positions(box).index().flatten(0, 2) for box in boxes(grid.shape, SMALL)])
    assert bool(torch.isfinite(landed).all())
    assert float(landed.min()) < -1e5
