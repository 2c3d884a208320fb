import os
from pathlib import Path

import pytest
import torch

from image.phantoms import in_body, patient
from samereg.errors import GeometryError, NotCTError
from samereg.geometry.grid import axis_aligned_grid, voxel_centres_mm
from samereg.geometry.volume import Volume
from samereg.image.checks import check_ct
from samereg.io.images import read_volume

GRID = axis_aligned_grid((40, 60, 90), (5.0, 5.0, 4.0))
SCAN = patient(GRID)


def seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def image(data: torch.Tensor) -> Volume:
    return Volume(data=data.float()[None], grid=GRID)


def padded(hu: float) -> Volume:
    """The patient with everything beyond a circular field of view padded."""
    x, y, _ = (voxel_centres_mm(GRID) - GRID.centre_mm).unbind(-1)
    return image(torch.where(x**2 + y**2 < 160.0**2, SCAN.data[0], torch.tensor(hu)))


def bare(hu: float) -> Volume:
    """The patient cut out, as from a mask, with lungs and a constant around."""
    x, y, _ = (voxel_centres_mm(GRID) - GRID.centre_mm).unbind(-1)
    return image(torch.where(in_body(x, y), SCAN.data[0], torch.tensor(hu)))


@pytest.mark.parametrize("hu", [-1000.0, -1024.0, -2000.0, -2048.0, -3024.0, -32768.0])
def test_accepts_ct_with_any_padding(hu):
    check_ct(padded(hu), name="scan.nii.gz")
    check_ct(bare(hu), name="scan.nii.gz")


def test_accepts_a_cropped_phantom_on_zero():
    check_ct(bare(0.0), name="scan.nii.gz")


def test_accepts_metal():
    data = SCAN.data[0].clone()
    data[:4, 28:32, 40:50] = 30000.0
    check_ct(image(data), name="scan.nii.gz")


NOISE = torch.randn(GRID.shape, generator=seed(1))
UNIFORM = torch.rand(GRID.shape, generator=seed(2))
NOT_CT = {
    "constant": torch.full(GRID.shape, -700.0),
    "zeros": torch.zeros(GRID.shape),
    "magnitudes of MR": (SCAN.data[0] + 1000.0).clamp(min=0.0) * 0.7,
    "normalised MR": NOISE,
    "bytes": ((SCAN.data[0] + 1000.0) / 1400.0 * 255.0).clamp(0.0, 255.0).round(),
    "PET": 5.0 * UNIFORM**8,
    "PET in Bq/ml": 30000.0 * UNIFORM**8,
    "label map": (UNIFORM * 35.0).floor(),
    "label map with a negative background": (UNIFORM * 12.0).floor() * 100.0 - 1000.0,
    "probabilities": UNIFORM,
    "CT without its rescale intercept": SCAN.data[0] + 1024.0,
    "network input": (SCAN.data[0] / 600.0).clamp(-1.0, 1.0),
    "random 16-bit words": (UNIFORM * 65536.0).floor() - 32768.0,
    "random 12-bit words": (UNIFORM * 4096.0).floor() - 1024.0,
    "air": -1000.0 + 12.0 * NOISE,
    "NaN": torch.where(UNIFORM < 0.5, torch.tensor(torch.nan), SCAN.data[0]),
}


@pytest.mark.parametrize("data", NOT_CT.values(), ids=NOT_CT.keys())
def test_refuses_what_is_not_ct_and_names_the_file(data):
    with pytest.raises(NotCTError, match=r"^folder/image\.nii: .*Hounsfield units is needed"):
        check_ct(image(data), name="folder/image.nii")


def test_refuses_several_channels():
    with pytest.raises(NotCTError, match="2 channels"):
        check_ct(Volume(data=SCAN.data.expand(2, *GRID.shape), grid=GRID), name="a.mha")


@pytest.mark.parametrize("shape", [(6, 60, 90), (40, 6, 90), (40, 60, 7)])
def test_refuses_thin_images(shape):
    grid = axis_aligned_grid(shape, (5.0, 5.0, 4.0))
    with pytest.raises(GeometryError, match=r"^a\.mha: .* at least 32 mm"):
        check_ct(Volume(data=torch.zeros(1, *shape), grid=grid), name="a.mha")


@pytest.mark.data
def test_accepts_real_scans_and_refuses_their_labels():
    for path in sorted((Path(os.environ["SAMEREG_DATA"]) / "val").glob("*.nii.gz")):
        volume = read_volume(path)
        if "labels" in path.name:
            with pytest.raises(NotCTError):
                check_ct(volume, name=path.name)
        else:
            check_ct(volume, name=path.name)
