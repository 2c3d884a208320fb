"""The change of volume on files: known maps have known determinants."""

from pathlib import Path

import pytest
import torch

from laws import GRIDS, rotation
from samereg.app.jacobian import write_jacobian
from samereg.cli.main import main
from samereg.geometry.affine import Affine
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, voxel_centres_mm
from samereg.geometry.volume import Volume
from samereg.io.images import read_volume, write_volume
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
        record = write_jacobian(tmp_path / "t.h5", ct, tmp_path / "j.nii.gz", logarithm=False, overwrite=True)
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
