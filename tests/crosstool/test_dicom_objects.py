"""DICOM objects of ours as other programs judge and read them, and theirs as we read them."""

from pathlib import Path

import pytest
import torch

from clinical_series import uid, write_clinical
from crosstool.dicom_tools import complaints, to_source, written_by_plastimatch
from laws import GRIDS, points_inside, rotation, smooth_displacement
from samereg.app.spaces import read_spaces
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.io.transform_files import read_transform_file, write_transform_file
from samereg.io.transform_formats.spaces import Spaces

TOLERANCE_MM = 0.05
TURN = Affine.from_parts(rotation((0.2, 1.0, -0.4), 6.0), torch.tensor([4.0, -9.0, 5.0], dtype=torch.float64))
SQUEEZE = Affine.from_parts(torch.diag(torch.tensor([0.9, 1.0, 1.05], dtype=torch.float64)), TURN.translation_mm)

every_kind = pytest.mark.parametrize("name", list(GRIDS))


def maps(grid: Grid) -> dict[str, Transform]:
    bend = smooth_displacement(grid, amplitude_mm=6.0)
    return {
        "rigid": TURN,
        "affine": SQUEEZE,
        "deformable": bend,
        "turned": chain(bend, TURN),
        "turned before": chain(TURN, bend),
        "squeezed before": chain(SQUEEZE, bend),
    }


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> Spaces:
    """Two series; the grids of the transforms under test are their own."""
    place = tmp_path_factory.mktemp("studies")
    return read_spaces(write_series(place, 1), write_series(place, 2))


def write_series(place: Path, number: int) -> Path:
    return write_clinical(place / f"study{number}", GRIDS["LPS"], number=number)


@every_kind
@pytest.mark.parametrize("kind", list(maps(GRIDS["LPS"])))
def test_the_standards_formula_takes_a_thousand_points_where_we_do(
    name: str, kind: str, spaces: Spaces, tmp_path: Path
) -> None:
    transform = maps(GRIDS[name])[kind]
    before = {"turned before": TURN, "squeezed before": SQUEEZE}.get(kind, Affine.identity())
    points = before.inverse().apply(points_inside(GRIDS[name], 1000, margin_vox=2.0))
    write_transform_file(transform, tmp_path / "registration.dcm", spaces=spaces)
    found = to_source(tmp_path / "registration.dcm", uid(2, 9), points)
    assert float((found - transform.apply(points)).norm(dim=1).max()) < TOLERANCE_MM


@pytest.mark.parametrize("kind", ["rigid", "affine", "turned"])
def test_dciodvfy_finds_no_error_in_a_registration(kind: str, spaces: Spaces, tmp_path: Path) -> None:
    write_transform_file(maps(GRIDS["oblique"])[kind], tmp_path / "registration.dcm", spaces=spaces)
    assert complaints(tmp_path / "registration.dcm") == []


@pytest.mark.parametrize("kind", ["rigid", "turned"])
def test_a_registration_of_plastimatch_is_read_the_right_way_round(kind: str, tmp_path: Path) -> None:
    fixed, moving = write_series(tmp_path, 1), write_series(tmp_path, 2)
    transform, points = maps(GRIDS["LPS"])[kind], points_inside(GRIDS["LPS"], 1000, margin_vox=2.0)
    suffix = ".tfm" if kind == "rigid" else ".mha"
    write_transform_file(transform, tmp_path / f"t{suffix}", spaces=Spaces())
    path = written_by_plastimatch(tmp_path / f"t{suffix}", fixed, moving, tmp_path / "plastimatch")
    own = read_spaces(path.parent / "fixed", path.parent / "moving")
    landed = read_transform_file(path, spaces=own).apply(points)
    torch.testing.assert_close(landed, transform.apply(points), atol=1e-3, rtol=0)
    back = read_transform_file(path, spaces=own.turned()).apply(landed)
    assert float((back - points).norm(dim=1).max()) < TOLERANCE_MM
