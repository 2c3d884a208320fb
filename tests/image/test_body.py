import os
from pathlib import Path

import pytest
import torch

from image.phantoms import in_body, in_lungs, patient
from laws import rotation, signed_axes
from samereg.errors import InputError
from samereg.geometry.grid import Grid, axis_aligned_grid, voxel_centres_mm
from samereg.geometry.volume import Volume
from samereg.image.body import body_mask
from samereg.io.images import read_labels, read_volume

AFFINE = torch.eye(4, dtype=torch.float64)


def grid_along(directions: torch.Tensor, spacing_mm: tuple[float, float, float]) -> Grid:
    affine = AFFINE.clone()
    affine[:3, :3] = directions * torch.tensor(spacing_mm, dtype=torch.float64)
    extents = (directions.abs().T @ torch.tensor([400.0, 320.0, 240.0], dtype=torch.float64)).tolist()
    depth, height, width = (int(e / s) for e, s in zip(extents, spacing_mm, strict=True))
    return Grid(shape=(depth, height, width), affine=affine)


SAGITTAL = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]], dtype=torch.float64)
ORIENTATIONS = {
    "LPS": grid_along(signed_axes(1.0, 1.0, 1.0), (4.0, 4.0, 4.0)),
    "RAS": grid_along(signed_axes(-1.0, -1.0, 1.0), (2.0, 3.0, 3.0)),
    "feet first": grid_along(signed_axes(1.0, 1.0, -1.0), (7.0, 2.0, 2.0)),
    "sagittal": grid_along(SAGITTAL, (4.0, 4.0, 4.0)),
    "oblique": grid_along(rotation((0.0, 0.0, 1.0), 8.0) @ signed_axes(1.0, 1.0, 1.0), (4.0, 4.0, 4.0)),
}


@pytest.mark.parametrize("grid", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_holds_body_and_lungs_but_neither_air_nor_table(grid):
    scan = patient(grid)
    mask = body_mask(scan)
    x, y, z = (voxel_centres_mm(grid) - grid.centre_mm).unbind(-1)
    truth = in_body(x, y)
    assert mask[in_lungs(x, y, z)].double().mean() > 0.999
    assert mask[truth].double().mean() > 0.97
    # Half a lattice spacing of 4 mm around a body of 300 x 200 mm is 3 % of it.
    assert float((mask & ~truth).sum() / truth.sum()) < 0.04
    assert mask[(y > 112.0)].double().mean() < 0.005


def test_a_body_cut_by_the_field_of_view_is_still_one():
    grid = axis_aligned_grid((40, 60, 48), (4.0, 4.0, 4.0))
    scan = patient(grid)
    x, y, _ = (voxel_centres_mm(grid) - grid.centre_mm).unbind(-1)
    assert body_mask(scan)[in_body(x, y)].double().mean() > 0.97


def test_does_not_change_the_scan():
    scan = patient(ORIENTATIONS["LPS"])
    before = scan.data.clone()
    body_mask(scan)
    assert torch.equal(scan.data, before)


@pytest.mark.parametrize("hu", [-1000.0, -400.0])
def test_a_scan_without_a_body_is_refused(hu):
    grid = axis_aligned_grid((40, 40, 40), (4.0, 4.0, 4.0))
    with pytest.raises(InputError, match="shows no body"):
        body_mask(Volume(data=torch.full((1, *grid.shape), hu), grid=grid))


def test_a_table_alone_is_refused():
    grid = axis_aligned_grid((60, 60, 90), (4.0, 4.0, 4.0))
    scan = patient(grid)
    x, y, _ = (voxel_centres_mm(grid) - grid.centre_mm).unbind(-1)
    alone = torch.where(in_body(x, y), torch.tensor(-1000.0), scan.data[0])
    with pytest.raises(InputError, match="shows no body"):
        body_mask(Volume(data=alone[None], grid=grid))


@pytest.mark.data
def test_holds_the_labelled_organs_of_real_scans():
    for path in sorted((Path(os.environ["SAMEREG_DATA"]) / "val").glob("*.labels.nii.gz")):
        labels = read_labels(path).data
        mask = body_mask(read_volume(Path(str(path).replace(".labels", ""))))
        assert mask[labels > 0].double().mean() > 0.995
        assert mask.double().mean() < 0.8
