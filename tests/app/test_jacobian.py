"""The change of volume on files: known maps have known determinants."""

from pathlib import Path

import pytest
import torch

from laws import GRIDS, rotation
from samereg.app.jacobian import JacobianSettings, write_jacobian
from samereg.cli.main import main
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, axis_aligned_grid, voxel_centres_mm
from samereg.geometry.spline import Spline, dense_grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.geometry.volume_change import volume_change_at
from samereg.io.images import read_volume, write_volume
from samereg.io.transform_files import write_transform_file
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transforms import write_transform


def reference(grid: Grid, path: Path) -> Path:
    write_volume(Volume(data=torch.zeros(1, *grid.shape), grid=grid), path)
    return path


@pytest.mark.parametrize("name", list(GRIDS))
def test_a_stretch_changes_volume_by_its_determinant(name: str, tmp_path: Path) -> None:
    grid = GRIDS[name]
    stretch = rotation((1.0, 2.0, 0.5), 20.0) @ torch.diag(torch.tensor([1.2, 0.9, 1.1], dtype=torch.float64))
    ct = reference(grid, tmp_path / "ct.nii.gz")
    affine = Affine.from_parts(stretch, torch.zeros(3, dtype=torch.float64))
    x = voxel_centres_mm(grid)
    field = Displacement(grid=grid, data=(x @ stretch.T - x).movedim(-1, 0).float())
    for transform in (affine, field):
        write_transform(transform, tmp_path / "t.h5")
        record = write_jacobian(
            tmp_path / "t.h5", ct, tmp_path / "j.nii.gz", settings=JacobianSettings(), overwrite=True
        )
        found = read_volume(tmp_path / "j.nii.gz")
        assert found.stored_dtype == "float32"
        torch.testing.assert_close(found.data, torch.full_like(found.data, 1.2 * 0.9 * 1.1), atol=1e-3, rtol=0)
        assert (record.folded_fraction, record.exit_status) == (0.0, 0)


def test_a_mirror_folds_everything_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ct = reference(GRIDS["LPS"], tmp_path / "ct.nii.gz")
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))
    write_transform(Affine.from_parts(mirror, torch.zeros(3, dtype=torch.float64)), tmp_path / "t.h5")
    words = ["jacobian", "-t", str(tmp_path / "t.h5"), "-r", str(ct), "-o", str(tmp_path / "j.nrrd"), "--log"]
    assert main(words) == 10
    captured = capsys.readouterr()
    assert "100.000 %" in captured.out
    assert "folds" in captured.err
    assert float(read_volume(tmp_path / "j.nrrd").data.max()) < -6.0


LINEAR = {
    "shift": torch.eye(3, dtype=torch.float64),
    "scaling": 1.5 * torch.eye(3, dtype=torch.float64),
    "rotation": rotation((1.0, 2.0, 0.5), 20.0),
}

FIELD_GRID = axis_aligned_grid((20, 20, 20), (3.0, 3.0, 3.0), (0.0, 0.0, 0.0))

REFERENCES = {
    "the same": FIELD_GRID,
    "larger": axis_aligned_grid((40, 40, 40), (3.0, 3.0, 3.0), (-30.0, -30.0, -30.0)),
    "smaller": axis_aligned_grid((10, 10, 10), (3.0, 3.0, 3.0), (12.0, 12.0, 12.0)),
    "shifted": axis_aligned_grid((20, 20, 20), (3.0, 3.0, 3.0), (-31.3, 10.7, 1.1)),
    "finer": axis_aligned_grid((50, 50, 50), (1.0, 1.3, 0.7), (-10.0, -10.0, -10.0)),
}


@pytest.mark.parametrize("reference_name", list(REFERENCES))
@pytest.mark.parametrize("map_name", list(LINEAR))
def test_where_a_field_ends_nothing_folds(map_name: str, reference_name: str, tmp_path: Path) -> None:
    linear, grid = LINEAR[map_name], REFERENCES[reference_name]
    x = voxel_centres_mm(FIELD_GRID)
    shift_mm = torch.tensor([20.0, -30.0, 25.0], dtype=torch.float64)
    field = Displacement(grid=FIELD_GRID, data=(x @ linear.T + shift_mm - x).movedim(-1, 0).float())
    write_transform(field, tmp_path / "t.h5")
    ct = reference(grid, tmp_path / "ct.nii.gz")
    record = write_jacobian(tmp_path / "t.h5", ct, tmp_path / "j.nii.gz", settings=JacobianSettings())
    assert (record.folded_fraction, record.exit_status) == (0.0, 0)
    found = read_volume(tmp_path / "j.nii.gz").data[0]
    inside = FIELD_GRID.contains(voxel_centres_mm(grid))
    expected = torch.where(inside, float(torch.linalg.det(linear)), 1.0).float()
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_every_part_of_a_chain_counts_where_it_is_passed() -> None:
    stretch = Affine.from_parts(LINEAR["scaling"], torch.zeros(3, dtype=torch.float64))
    x = voxel_centres_mm(FIELD_GRID)
    field = Displacement(grid=FIELD_GRID, data=(0.2 * x).movedim(-1, 0).float())
    points_mm = torch.tensor([[10.0, 10.0, 10.0], [45.0, 45.0, 45.0], [-9.0, 0.0, 0.0]], dtype=torch.float64)
    found = volume_change_at(chain(stretch, field), points_mm)
    torch.testing.assert_close(found, 1.5**3 * torch.tensor([1.2**3, 1.0, 1.0], dtype=torch.float64), atol=1e-5, rtol=0)


def test_a_spline_changes_volume_by_its_slopes_and_not_where_it_ends() -> None:
    control = axis_aligned_grid((8, 8, 8), (10.0, 10.0, 10.0), (0.0, 0.0, 0.0))
    stretched: Transform = Spline(grid=control, data=(0.25 * voxel_centres_mm(control)).movedim(-1, 0))
    points_mm = voxel_centres_mm(dense_grid(control)).flatten(0, 2)
    found = volume_change_at(stretched, points_mm)
    torch.testing.assert_close(found, torch.full_like(found, 1.25**3), atol=1e-6, rtol=0)
    assert float(volume_change_at(stretched, points_mm + 500.0).min()) == 1.0


def test_a_field_in_voxels_of_two_images_needs_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fine = axis_aligned_grid((16, 16, 16), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    coarse = axis_aligned_grid((16, 16, 16), (3.0, 3.0, 3.0), (0.0, 0.0, 0.0))
    scale = Affine.from_parts(1.5 * torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    write_transform_file(scale, tmp_path / "disp.npz", spaces=Spaces(fixed=fine, moving=coarse))
    fixed, moving = reference(fine, tmp_path / "f.nii.gz"), reference(coarse, tmp_path / "m.nii.gz")
    words = ["jacobian", "-t", str(tmp_path / "disp.npz"), "-r", str(fixed), "-o", str(tmp_path / "j.nrrd")]
    assert main(words) == 2
    assert "give -m MOVING" in capsys.readouterr().err
    assert main([*words, "-m", str(moving)]) == 0
    assert read_volume(tmp_path / "j.nrrd").data.mean() == pytest.approx(3.375, abs=0.01)
