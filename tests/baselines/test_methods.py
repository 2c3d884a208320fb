"""Every method finds a map that is known, in its direction, on a moving scan that lies oblique in the world."""

import sys
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from known_maps import bent_and_turned
from laws import grid_from_directions, rotation, signed_axes
from samereg.baselines.ants import AntsSyN
from samereg.baselines.blocks import Search
from samereg.baselines.convex_adam import ConvexAdam
from samereg.baselines.deeds import Deeds
from samereg.baselines.elastix import FFD, ElastixAffine
from samereg.baselines.method import Method
from samereg.baselines.methods import METHODS
from samereg.baselines.mind_affine import AffineLevel, MindAffine
from samereg.baselines.simple import CentreOfMass, Identity
from samereg.errors import GeometryError, MissingPackageError
from samereg.geometry.fields import from_transform, jacobian_determinant_mm
from samereg.geometry.grid import Grid, axis_aligned_grid, strided
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.body import body_mask
from samereg.image.resample import resample_volume
from samereg.matching.points import grid_points, mask_at
from samereg.phantom.subject import make_subject

SPACING_MM = 6.0

PACKAGES = {
    "mind-affine": "numba",
    "deeds": "numba",
    "elastix-affine": "itk",
    "ffd": "itk",
    "ants-syn": "ants",
    "convex-adam": "convexAdam",
}

FEW_LEVELS = (Search(spacing=5, radius=4, step=2, patch=1), Search(spacing=3, radius=4, step=1, patch=1))

QUICK_AFFINE = MindAffine(levels=tuple(AffineLevel(SPACING_MM, search) for search in FEW_LEVELS))

QUICK_CONVEX_ADAM = ConvexAdam(affine=QUICK_AFFINE, spacing_mm=SPACING_MM)

QUICK_DEEDS = Deeds(affine=QUICK_AFFINE, spacing_mm=SPACING_MM, levels=FEW_LEVELS)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A method with settings for the small scan, and the median error that it has to stay below, in mm."""

    method: Method
    within_mm: float


AFFINE_WITHIN_MM = 14.0
"""The best affine map is off by 12 mm, as the known one bends; the centres of mass by 15 mm."""

VOXELS_WITHIN_MM = 1.5 * SPACING_MM
"""One and a half voxels: clearly nearer than any affine map."""

CASES = [
    pytest.param(Case(method=QUICK_AFFINE, within_mm=AFFINE_WITHIN_MM), marks=pytest.mark.slow),
    Case(method=QUICK_DEEDS, within_mm=VOXELS_WITHIN_MM),
    pytest.param(Case(method=ElastixAffine(), within_mm=AFFINE_WITHIN_MM), marks=pytest.mark.slow),
    pytest.param(Case(method=FFD(spacing_mm=24.0, iterations=50), within_mm=VOXELS_WITHIN_MM), marks=pytest.mark.slow),
    pytest.param(Case(method=AntsSyN(), within_mm=VOXELS_WITHIN_MM), marks=pytest.mark.slow),
    pytest.param(Case(method=QUICK_CONVEX_ADAM, within_mm=VOXELS_WITHIN_MM), marks=pytest.mark.slow),
]


@cache
def scans() -> tuple[Volume, Volume, Transform]:
    """Fixed scan, moving scan on an oblique grid, and the map from the moving world to the fixed."""
    grid = axis_aligned_grid((64, 48, 70), (SPACING_MM,) * 3, (-207.0, -141.0, -189.0))
    fixed = make_subject(3, grid=grid).volumes["CE"]
    to_fixed = bent_and_turned(grid)
    directions = rotation((0.2, 1.0, -0.3), 12.0) @ signed_axes(-1.0, 1.0, 1.0)
    oblique = grid_from_directions(directions, spacing_mm=(7.0, 6.0, 5.0), shape=(72, 62, 106))
    moved_origin = oblique.affine.clone()
    moved_origin[:3, 3] += grid.centre_mm - oblique.centre_mm
    return fixed, resample_volume(fixed, to_fixed, type(oblique)(shape=oblique.shape, affine=moved_origin)), to_fixed


def median_error_mm(found: Transform) -> float:
    """How far body points are from where they should have been sent, seen from the fixed scan."""
    fixed, moving, to_fixed = scans()
    points_mm = grid_points(fixed.grid, body=body_mask(fixed), stride_vox=4)
    landed_mm = found.apply(points_mm)
    inside = moving.grid.contains(landed_mm)
    return float((to_fixed.apply(landed_mm) - points_mm).norm(dim=1)[inside].median())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.method.name)
def test_a_known_map_is_found_in_its_direction_and_nothing_is_left_behind(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = PACKAGES[case.method.name]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    fixed, moving, _ = scans()
    monkeypatch.chdir(tmp_path)
    assert median_error_mm(case.method.register(fixed, moving)) < case.within_mm
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_fixed_scan_may_lie_oblique_too() -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    upright, oblique, to_upright = scans()
    points_mm = grid_points(oblique.grid, stride_vox=4)
    goals_mm = to_upright.apply(points_mm)
    inside = mask_at(body_mask(upright), upright.grid, goals_mm)
    errors_mm = (QUICK_DEEDS.register(oblique, upright).apply(points_mm) - goals_mm).norm(dim=1)[inside]
    assert float(errors_mm.median()) < VOXELS_WITHIN_MM


def test_two_runs_of_deeds_agree_to_the_bit() -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    fixed, moving, _ = scans()
    method = replace(QUICK_DEEDS, affine=CentreOfMass())
    points_mm = grid_points(fixed.grid, stride_vox=8)
    once, twice = (method.register(fixed, moving).apply(points_mm) for _ in range(2))
    assert torch.equal(once, twice)


def test_smoothness_makes_smoother() -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    fixed, moving, _ = scans()
    methods = [replace(QUICK_DEEDS, affine=CentreOfMass(), smoothness=alpha) for alpha in (0.4, 6.4)]
    fields = [from_transform(method.register(fixed, moving), strided(fixed.grid, 2)) for method in methods]
    rough, smooth = (float(jacobian_determinant_mm(field).std()) for field in fields)
    assert smooth < 0.8 * rough


def test_a_scan_smaller_than_a_block_is_refused() -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    fixed, moving, _ = scans()
    thin = Volume(data=fixed.data[:, 20:24], grid=Grid(shape=(4, *fixed.grid.shape[1:]), affine=fixed.grid.affine))
    with pytest.raises(GeometryError, match="need 5 along each axis"):
        replace(QUICK_DEEDS, affine=CentreOfMass()).register(thin, moving)


def test_centre_of_mass_is_nearer_than_the_scanner() -> None:
    fixed, moving, _ = scans()
    before, after = (median_error_mm(method.register(fixed, moving)) for method in (Identity(), CentreOfMass()))
    assert after < 0.8 * before


def test_methods_are_named_as_they_name_themselves() -> None:
    assert {name: make().name for name, make in METHODS.items()} == {name: name for name in METHODS}
    assert all(isinstance(make(), Method) for make in METHODS.values())


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_missing_package_is_named_with_the_extra_that_brings_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    with pytest.raises(MissingPackageError, match=r"samereg\[baselines\]"):
        METHODS[name]().version()


def test_identity_stays() -> None:
    fixed, moving, _ = scans()
    points = torch.randn(10, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Identity().register(fixed, moving).apply(points), points)
