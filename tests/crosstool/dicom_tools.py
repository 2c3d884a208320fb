"""Programs that judge DICOM objects: dciodvfy of dicom3tools, and plastimatch."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from scipy.ndimage import map_coordinates


def require_program(name: str) -> None:
    """Skip, by name, where a program is not installed."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed; tests/crosstool/install_dicom_tools.sh installs it")


def complaints(path: Path) -> list[str]:
    """What dciodvfy calls errors in a file."""
    require_program("dciodvfy")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert lines, f"dciodvfy said nothing about {path}"
    return [line for line in lines if line.startswith(("Error", "(0x")) and "Error" in line]


def written_by_plastimatch(transform: Path, fixed: Path, moving: Path, folder: Path) -> Path:
    """A registration object of plastimatch between its own copies of two series, in `fixed` and `moving` beside it."""
    require_program("plastimatch")
    images = ["--fixed-image", str(fixed), "--moving-image", str(moving)]
    command = ["plastimatch", "xf-convert", "--input", str(transform), "--output-dicom", str(folder), *images]
    subprocess.run(command, check=True, capture_output=True)
    (found,) = (path for path in folder.iterdir() if path.is_file())
    return found


def to_source(path: Path, frame_uid: str, points: torch.Tensor) -> torch.Tensor:
    """Where PS3.3 C.20.2 and C.20.3 take points of the registered frame: read by pydicom, computed by numpy alone."""
    stored = pydicom.dcmread(path)
    if "RegistrationSequence" in stored:
        (item,) = (each for each in stored.RegistrationSequence if each.FrameOfReferenceUID == frame_uid)
        matrix = _matrix(item.MatrixRegistrationSequence[0].MatrixSequence[0])
        return torch.from_numpy(_through(np.linalg.inv(matrix), points.numpy()))
    (item,) = (each for each in stored.DeformableRegistrationSequence if each.SourceFrameOfReferenceUID == frame_uid)
    grid = item.DeformableRegistrationGridSequence[0]
    columns, rows, planes = grid.GridDimensions
    field = np.frombuffer(grid.VectorGridData, "<f4").reshape(planes, rows, columns, 3)
    along, down = np.array(grid.ImageOrientationPatient, dtype=float).reshape(2, 3)
    basis = np.stack([along, down, np.cross(along, down)], axis=1) * np.array(grid.GridResolution)
    index = np.linalg.solve(basis, (points.numpy() - np.array(grid.ImagePositionPatient, dtype=float)).T)
    offsets = [map_coordinates(field[..., axis], index[::-1], order=1, mode="nearest") for axis in range(3)]
    before = _through(_matrix(item.PreDeformationMatrixRegistrationSequence[0]), points.numpy())
    after = _matrix(item.PostDeformationMatrixRegistrationSequence[0])
    return torch.from_numpy(_through(after, before + np.stack(offsets, axis=1)))


def _matrix(item: pydicom.Dataset) -> np.ndarray:
    return np.array(item.FrameOfReferenceTransformationMatrix, dtype=float).reshape(4, 4)


def _through(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]
