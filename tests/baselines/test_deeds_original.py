"""The original programs, played by scripts that shift: commands, and what is read back from them."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from samereg.baselines.deeds_original import PROGRAMS, DeedsOriginal, move_command, search_commands
from samereg.errors import FileError, MissingPackageError
from samereg.geometry.grid import axis_aligned_grid, voxel_centres_mm
from samereg.geometry.volume import Volume

SHIFT_VOX = (1, -2, 3)
SPACING_MM = 6.0

SHIFTING = f"""#!{sys.executable}
import sys
import nibabel
import numpy as np
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
image = nibabel.load(given["-M"])
moved = np.zeros_like(image.get_fdata(dtype=np.float32))
d, h, w = {SHIFT_VOX}
source = np.pad(image.get_fdata(dtype=np.float32), 3)
x, y, z = moved.shape
moved[:] = source[3 + w : 3 + w + x, 3 + h : 3 + h + y, 3 + d : 3 + d + z]
nibabel.save(nibabel.Nifti1Image(moved, image.affine), given["-D"])
"""
"""Moves an image as a displacement of `SHIFT_VOX` along (d, h, w) does; NIfTI's axes run (w, h, d)."""

QUIET = f"#!{sys.executable}\n"
FAILING = f"#!{sys.executable}\nimport sys\nsys.exit('no such file')\n"


@pytest.fixture
def scan() -> Volume:
    grid = axis_aligned_grid((24, 30, 36), (SPACING_MM,) * 3, (-105.0, -87.0, -69.0))
    data = torch.full((1, *grid.shape), -1000.0)
    data[:, 4:-4, 5:-5, 6:-6] = 40.0
    return Volume(data=data, grid=grid)


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, scripts: dict[str, str]) -> None:
    for name, text in scripts.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_the_map_is_read_off_moved_coordinates(scan: Volume, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, {"linearBCV": QUIET, "deedsBCV": QUIET, "applyBCVfloat": SHIFTING})
    found = DeedsOriginal(spacing_mm=SPACING_MM).register(scan, scan)
    points_mm: Tensor = voxel_centres_mm(scan.grid)[3:-3, 3:-3, 3:-3]
    expected = SPACING_MM * torch.tensor(SHIFT_VOX[::-1], dtype=torch.float64)
    shifts = found.apply(points_mm) - points_mm
    # single precision of coordinates below 40, and of positions below 200 mm
    torch.testing.assert_close(shifts, expected.expand_as(shifts), atol=1e-3, rtol=0)


def test_voxels_that_land_outside_stay(scan: Volume, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, {"linearBCV": QUIET, "deedsBCV": QUIET, "applyBCVfloat": SHIFTING})
    found = DeedsOriginal(spacing_mm=SPACING_MM).register(scan, scan)
    last_mm = voxel_centres_mm(scan.grid)[-1, 10, 10]
    torch.testing.assert_close(found.apply(last_mm), last_mm, atol=1e-3, rtol=0)


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, {"linearBCV": QUIET})
    with pytest.raises(MissingPackageError, match="deedsBCV"):
        DeedsOriginal().version()


def test_a_program_that_fails_is_named(scan: Volume, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, {"linearBCV": FAILING, "deedsBCV": QUIET, "applyBCVfloat": QUIET})
    with pytest.raises(FileError, match=r"linearBCV.*status 1.*no such file"):
        DeedsOriginal(spacing_mm=SPACING_MM).register(scan, scan)


def test_commands_are_those_of_the_programs(tmp_path: Path) -> None:
    linear, deformable = search_commands(list(PROGRAMS), tmp_path)
    images = ["-F", f"{tmp_path}/fixed.nii.gz", "-M", f"{tmp_path}/moving.nii.gz"]
    assert linear == ["linearBCV", *images, "-O", f"{tmp_path}/affine"]
    assert deformable == ["deedsBCV", *images, "-O", f"{tmp_path}/found", "-A", f"{tmp_path}/affine_matrix.txt"]
    move = move_command("applyBCVfloat", tmp_path / "c.nii.gz", tmp_path / "m.nii.gz")
    kept = ["-O", f"{tmp_path}/found", "-A", f"{tmp_path}/affine_matrix.txt", "-D", f"{tmp_path}/m.nii.gz"]
    assert move == ["applyBCVfloat", "-M", f"{tmp_path}/c.nii.gz", *kept]
