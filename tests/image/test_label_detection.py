"""Label maps and intensities of every kind that is resampled, told apart by their voxels."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from samereg.image.label_detection import detect_labels

Array = NDArray[np.float64]
SHAPE = (40, 44, 48)
RNG = np.random.default_rng(0)


def organs() -> Array:
    """Five organs, in a body, in air."""
    d, h, w = np.indices(SHAPE)
    data = np.zeros(SHAPE)
    data[((d - 20) / 18) ** 2 + ((h - 22) / 19) ** 2 + ((w - 24) / 21) ** 2 < 1] = 1
    for value, centre in (
        (2, (20, 16, 14)),
        (7, (20, 16, 34)),
        (22, (14, 30, 24)),
        (35, (28, 30, 20)),
        (4, (24, 22, 24)),
    ):
        data[sum((axis - c) ** 2 for axis, c in zip((d, h, w), centre, strict=True)) < 36] = value
    return data


def hu() -> Array:
    tissue = np.array([-1000.0, 40, -850, 0, 60, 0, 0, -850] + 30 * [300.0])[organs().astype(int)]
    return ndimage.gaussian_filter(tissue, 0.7) + 12.0 * ndimage.gaussian_filter(RNG.normal(size=SHAPE), 0.5)


def smooth(sigma: float) -> Array:
    return ndimage.gaussian_filter((organs() > 1).astype(float), sigma)


def blocks(edge: int) -> Array:
    counts = [-(-n // edge) for n in SHAPE]
    values = RNG.permutation(int(np.prod(counts))).reshape(counts).astype(float)
    for axis in range(3):
        values = values.repeat(edge, axis)
    return values[: SHAPE[0], : SHAPE[1], : SHAPE[2]]


def dose() -> Array:
    found = ndimage.gaussian_filter((organs() == 22).astype(float), 5.0)
    return 60.0 * found / found.max()


def landmarks() -> Array:
    found = np.zeros(SHAPE)
    for number in range(1, 40):
        found[tuple(RNG.integers(0, n) for n in SHAPE)] = number
    return found


def vertebrae() -> Array:
    d = np.indices(SHAPE)[0]
    return np.where(ndimage.binary_erosion(organs() == 1, iterations=2), 1 + d // 4, 0).astype(float)


LABELS: dict[str, Callable[[], Array]] = {
    "organs": organs,
    "background of -1": lambda: np.where(organs() == 0, -1, organs()),
    "ignored label of -100": lambda: np.where(organs() == 4, -100, organs()),
    "binary mask": lambda: (organs() > 0).astype(float),
    "mask of 0 and 255": lambda: 255.0 * (organs() > 0),
    "one organ alone, nothing else": lambda: np.ones(SHAPE),
    "nothing": lambda: np.zeros(SHAPE),
    "tumour in an organ": lambda: (organs() > 0).astype(float) + (organs() > 1),
    "hundreds of supervoxels": lambda: blocks(5),
    "thousands of small ones": lambda: blocks(3),
    "numbers of an atlas in the millions": lambda: 1000003.0 * blocks(6),
    "vertebrae, numbered in a row": vertebrae,
    "landmarks of one voxel": landmarks,
    "organs at half the resolution": lambda: organs()[::2, ::2, ::2],
    "one slice of organs": lambda: organs()[20:21],
}

INTENSITIES: dict[str, Callable[[], Array]] = {
    "CT": lambda: np.rint(hu()),
    "CT in fractions": hu,
    "CT clamped to soft tissue": lambda: np.rint(hu().clip(-160, 240)),
    "CT clamped to the lungs and to bone": lambda: np.rint(hu().clip(-1000, 200)),
    "CT of 8 bits": lambda: np.rint((hu().clip(-1000, 1000) + 1000) * 255 / 2000),
    "CT window of 8 bits": lambda: np.rint((hu().clip(-160, 240) + 160) * 255 / 400),
    "smoothed CT": lambda: np.rint(ndimage.gaussian_filter(hu(), 2.0)),
    "smoothed CT of 8 bits": lambda: np.rint((ndimage.gaussian_filter(hu(), 2.0).clip(-1000, 1000) + 1000) * 0.1275),
    "median of a CT": lambda: np.rint(ndimage.median_filter(hu(), 3)),
    "dose in Gy": lambda: np.rint(dose()),
    "dose in cGy": lambda: np.rint(100.0 * dose()),
    "dose cut to the body": lambda: np.rint(dose() * (organs() > 0)),
    "probability in per cent": lambda: np.rint(100.0 * smooth(1.5)),
    "probability in 8 bits": lambda: np.rint(255.0 * smooth(1.0)),
    "probability": lambda: smooth(1.5),
    "distance in voxels": lambda: np.rint(ndimage.distance_transform_edt(organs() > 0)),
    "signed distance in mm": lambda: np.rint(
        2.0 * (ndimage.distance_transform_edt(organs() > 0) - ndimage.distance_transform_edt(organs() == 0))
    ),
    "uptake in whole Bq/ml": lambda: RNG.poisson(np.where(organs() > 0, 400.0 + 90.0 * organs(), 3.0)).astype(float),
    "SUV": lambda: ndimage.gaussian_filter(RNG.poisson(np.where(organs() > 0, 4.0, 0.1)).astype(float), 1.0),
    "one slice of a CT": lambda: np.rint(hu()[20:21]),
}


@pytest.mark.parametrize("name", list(LABELS))
def test_labels_are_labels(name: str) -> None:
    assert detect_labels(torch.from_numpy(LABELS[name]()).float()).is_labels


@pytest.mark.parametrize("name", list(INTENSITIES))
def test_intensities_are_no_labels(name: str) -> None:
    assert not detect_labels(torch.from_numpy(INTENSITIES[name]()).float()).is_labels


@pytest.mark.parametrize("data", [organs(), np.rint(hu()), blocks(5), smooth(1.0)], ids=["few", "CT", "many", "real"])
def test_the_usual_kinds_are_certain(data: Array) -> None:
    assert detect_labels(torch.from_numpy(data).float()).is_certain


def test_a_phantom_of_a_few_hounsfield_units_is_doubtful() -> None:
    phantom = np.array([-1000.0, 40, -850, 0, 60, 0, 0, -820] + 30 * [300.0])[organs().astype(int)]
    assert not detect_labels(torch.from_numpy(phantom).float()).is_certain
