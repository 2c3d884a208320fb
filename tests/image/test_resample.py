import numpy as np
import pytest
import SimpleITK as sitk
import torch

from laws import GRIDS, every_grid, rotation, smooth_displacement
from samereg.geometry import walk as walking
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.grid import Grid, axis_aligned_grid, padded, strided, voxel_centres_mm
from samereg.geometry.volume import LabelMap, Volume
from samereg.image import resample as resampling
from samereg.image.resample import lost_labels, resample_labels, resample_volume

PRECISE = {"atol": 0.2, "rtol": 0.0}
"""Positions are exact to a ten-thousandth of a voxel, and the noise of the moving image steps by 1,000 and more."""

MOVING_GRID = GRIDS["anisotropic"]
TURN = 1.1 * rotation((1.0, 0.5, 2.0), 12.0)


def turned(grid: Grid) -> Affine:
    """A turn that takes the middle of a grid to the middle of the moving one."""
    return Affine.from_parts(TURN, MOVING_GRID.centre_mm - TURN @ grid.centre_mm)


def moving_volume() -> Volume:
    data = 300.0 * torch.randn(1, *MOVING_GRID.shape, generator=torch.Generator().manual_seed(0))
    return Volume(data=data, grid=MOVING_GRID, background=-777.0, stored_dtype="int16")


def moving_labels() -> LabelMap:
    coarse = torch.randint(0, 5, (1, 1, 4, 5, 6), generator=torch.Generator().manual_seed(0)).float()
    data = torch.nn.functional.interpolate(coarse, size=MOVING_GRID.shape, mode="nearest")[0, 0]
    return LabelMap(data=data.to(torch.int16), grid=MOVING_GRID)


def to_sitk(array: np.ndarray, grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm.tolist())
    image.SetDirection(grid.direction.flip(1).flatten().tolist())
    return image


def itk_affine(affine: Affine) -> sitk.Transform:
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(affine.linear.flatten().tolist())
    transform.SetTranslation(affine.translation_mm.tolist())
    return transform


@every_grid
def test_agrees_with_itk_everywhere(grid):
    moving = moving_volume()
    found = resample_volume(moving, turned(grid), grid)
    reference = to_sitk(np.zeros(grid.shape, dtype=np.float32), grid)
    image = to_sitk(moving.data[0].numpy(), moving.grid)
    expected = sitk.GetArrayFromImage(
        sitk.Resample(image, reference, itk_affine(turned(grid)), sitk.sitkLinear, -777.0)
    )
    assert float((found.data != -777.0).double().mean()) > 0.05
    torch.testing.assert_close(found.data[0], torch.from_numpy(expected), **PRECISE)
    assert (found.background, found.stored_dtype) == (-777.0, "int16")


@every_grid
def test_labels_agree_with_itk_everywhere(grid):
    moving = moving_labels()
    found = resample_labels(moving, turned(grid), grid)
    reference = to_sitk(np.zeros(grid.shape, dtype=np.int16), grid)
    image = to_sitk(moving.data.numpy(), moving.grid)
    nearest = sitk.sitkNearestNeighbor
    expected = sitk.GetArrayFromImage(sitk.Resample(image, reference, itk_affine(turned(grid)), nearest, 0))
    assert found.data.dtype == torch.int16
    assert float((found.data == torch.from_numpy(expected)).double().mean()) > 0.9999


@every_grid
def test_a_chain_gives_the_same_whether_walked_along_axes_or_point_by_point(grid, monkeypatch):
    # the field reaches beyond the grid on some sides and ends inside it on others, never on a voxel
    field = smooth_displacement(strided(padded(grid, (1, -4, 3), (4, 2, -5)), 3), amplitude_mm=9.0)
    transform = chain(field, turned(grid))
    along_axes = resample_volume(moving_volume(), transform, grid).data
    monkeypatch.setattr(walking, "_parallel", lambda *_: False)
    point_by_point = resample_volume(moving_volume(), transform, grid).data
    assert float((along_axes != -777.0).double().mean()) > 0.05
    torch.testing.assert_close(along_axes, point_by_point, **PRECISE)


def test_labels_by_linear_weights_are_those_of_the_largest_interpolated_indicator():
    moving, grid = moving_labels(), GRIDS["oblique"]
    found = resample_labels(moving, turned(grid), grid, mode="per_label_linear").data
    indicators = [
        resample_volume(
            Volume(data=(moving.data == label).float()[None], grid=moving.grid, background=float(label == 0)),
            turned(grid),
            grid,
        ).data[0]
        for label in range(5)
    ]
    best, second = torch.stack(indicators).topk(2, dim=0).values
    clear = best - second > 1e-4
    assert torch.equal(found[clear].long(), torch.stack(indicators).argmax(0)[clear])


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_identity_on_the_own_grid_changes_nothing(mode):
    moving = moving_volume()
    found = resample_volume(moving, Affine.identity(), moving.grid, mode=mode)
    torch.testing.assert_close(found.data, moving.data, **PRECISE)


@pytest.mark.parametrize("mode", ["nearest", "per_label_linear"])
def test_identity_on_the_own_grid_changes_no_label(mode):
    moving = moving_labels()
    assert torch.equal(resample_labels(moving, Affine.identity(), moving.grid, mode=mode).data, moving.data)


def test_a_chain_is_sampled_once_where_it_leads():
    grid = GRIDS["LPS"]
    transform = chain(smooth_displacement(grid), turned(grid))
    ramp = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    moving = Volume(data=(voxel_centres_mm(MOVING_GRID) @ ramp).float()[None], grid=MOVING_GRID)
    found = resample_volume(moving, transform, grid).data[0]
    landed = transform.apply(voxel_centres_mm(grid))
    inside = MOVING_GRID.contains(landed, margin_vox=0.0)
    torch.testing.assert_close(found[inside], (landed[inside] @ ramp).float(), atol=0.05, rtol=0)


def test_boxes_do_not_show(monkeypatch):
    grid = GRIDS["oblique"]

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        volume = resample_volume(moving_volume(), turned(grid), grid)
        return volume.data, resample_labels(moving_labels(), turned(grid), grid).data

    volume, labels = both()
    monkeypatch.setattr(resampling, "boxes", lambda shape: walking.boxes(shape, (3, 5, 7)))
    torch.testing.assert_close(both()[0], volume, **PRECISE)
    assert torch.equal(both()[1], labels)


def test_nothing_in_common_is_all_background():
    far = axis_aligned_grid((5, 6, 7), (2.0, 2.0, 2.0), (1e4, 0.0, 0.0))
    assert bool((resample_volume(moving_volume(), Affine.identity(), far).data == -777.0).all())
    assert int(resample_labels(moving_labels(), Affine.identity(), far).data.sum()) == 0


def test_lost_labels_are_named():
    before = moving_labels()
    after = LabelMap(data=torch.where(before.data == 3, 0, before.data), grid=before.grid)
    assert lost_labels(before, after) == (3,)
    assert lost_labels(after, before) == ()
