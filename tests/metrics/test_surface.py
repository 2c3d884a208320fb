import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from samereg.errors import InputError
from samereg.metrics.surface import surface_distances

SPACINGS = ((1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (5.0, 0.7, 0.7))


def blob(seed, shape=(14, 15, 16)):
    """A random structure, which may be in pieces and may touch the border."""
    generator = np.random.default_rng(seed)
    mask = np.zeros(shape, dtype=bool)
    for _ in range(generator.integers(1, 4)):
        middle = [generator.integers(0, n) for n in shape]
        radius = generator.uniform(1.0, 5.0)
        index = np.indices(shape)
        mask |= sum((axis - at) ** 2 for axis, at in zip(index, middle, strict=True)) <= radius**2
    return torch.from_numpy(mask)


def box(low, high, shape=(20, 20, 20)):
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def test_a_structure_is_no_distance_from_itself():
    found = surface_distances(blob(0), blob(0), spacing_mm=(5.0, 0.7, 0.7))
    assert (found.average_mm, found.hd95_mm, found.hausdorff_mm) == (0.0, 0.0, 0.0)


def test_two_plates_are_as_far_apart_as_they_are():
    first, second = box((3, 0, 0), (4, 20, 20)), box((8, 0, 0), (9, 20, 20))
    found = surface_distances(first, second, spacing_mm=(3.0, 1.0, 1.0))
    assert found.average_mm == found.hd95_mm == found.hausdorff_mm == 15.0


def test_concentric_cubes_are_as_far_apart_as_their_corners_and_faces():
    found = surface_distances(box((5, 5, 5), (16, 16, 16)), box((8, 8, 8), (13, 13, 13)), spacing_mm=(1.0,) * 3)
    assert math.isclose(found.hausdorff_mm, math.sqrt(27.0))
    assert float(found.second_mm.min()) == float(found.second_mm.max()) == 3.0


@given(seed=st.integers(0, 10_000), spacing=st.sampled_from(SPACINGS))
@settings(max_examples=50, deadline=None)
def test_swapping_the_structures_changes_nothing(seed, spacing):
    first, second = blob(seed), blob(seed + 1)
    there, back = (surface_distances(*pair, spacing_mm=spacing) for pair in ((first, second), (second, first)))
    assert math.isclose(there.average_mm, back.average_mm)
    assert math.isclose(there.hd95_mm, back.hd95_mm)


@given(seed=st.integers(0, 10_000), spacing=st.sampled_from(SPACINGS))
@settings(max_examples=50, deadline=None)
def test_the_largest_distance_is_no_less_than_that_of_simpleitk(seed, spacing):
    """It measures from every voxel of a structure, we from its surface, whose voxels include the farthest."""
    first, second = blob(seed), blob(seed + 1)
    images = [sitk.GetImageFromArray(mask.numpy().astype(np.uint8)) for mask in (first, second)]
    for image in images:
        image.SetSpacing(spacing[::-1])
    reference = sitk.HausdorffDistanceImageFilter()
    reference.Execute(*images)
    found = surface_distances(first, second, spacing_mm=spacing)
    # ITK takes the distance of a voxel within the other structure as zero, we take that to its surface.
    assert found.hausdorff_mm >= reference.GetHausdorffDistance() - 1e-5


@pytest.mark.filterwarnings("ignore")  # the other library's own
@given(seed=st.integers(0, 10_000), spacing=st.sampled_from(SPACINGS))
@settings(max_examples=50, deadline=None)
def test_equals_monai(seed, spacing):
    metrics = pytest.importorskip("monai.metrics")
    first, second = blob(seed), blob(seed + 1)
    channels = [mask[None, None].float() for mask in (first, second)]
    hd95 = metrics.compute_hausdorff_distance(*channels, include_background=True, percentile=95, spacing=spacing)
    pooled = metrics.compute_average_surface_distance(
        *channels, include_background=True, symmetric=True, spacing=spacing
    )
    found = surface_distances(first, second, spacing_mm=spacing)
    # MONAI computes in single precision.
    assert math.isclose(found.hd95_mm, float(hd95), abs_tol=1e-4)
    assert math.isclose(found.pooled_average_mm, float(pooled), abs_tol=1e-4)


@pytest.mark.filterwarnings("ignore")  # the other library's own
@given(seed=st.integers(0, 10_000), spacing=st.sampled_from(SPACINGS))
@settings(max_examples=50, deadline=None)
def test_is_within_a_voxel_of_surface_distance_whose_surface_runs_between_voxels(seed, spacing):
    reference = pytest.importorskip("surface_distance")
    first, second = blob(seed), blob(seed + 1)
    distances = reference.compute_surface_distances(first.numpy(), second.numpy(), spacing)
    hd95 = reference.compute_robust_hausdorff(distances, 95.0)
    found = surface_distances(first, second, spacing_mm=spacing)
    assert abs(found.hd95_mm - hd95) <= math.hypot(*spacing)


def test_an_empty_structure_is_refused():
    with pytest.raises(InputError, match="empty"):
        surface_distances(blob(0), torch.zeros_like(blob(0)), spacing_mm=(1.0,) * 3)
