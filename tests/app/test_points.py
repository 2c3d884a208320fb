"""`samereg points`, from files to a file: the right way round, whatever the user has."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from laws import GRIDS, points_inside, rotation, smooth_displacement
from samereg.app.directions import point_map
from samereg.app.points import PointsSettings, move_points_file
from samereg.cli.main import main
from samereg.errors import UnspecifiedError, UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain
from samereg.geometry.grid import Grid, axis_aligned_grid, padded
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.io.images import write_volume
from samereg.io.points import read_points_csv, write_table_csv
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transforms import write_transform

TURN = Affine.from_parts(rotation((0.2, 1.0, -0.4), 5.0) * 0.97, torch.tensor([4.0, -9.0, 5.0], dtype=torch.float64))
THERE = PointsSettings(source="fixed", target="moving")
BACK = PointsSettings(source="moving", target="fixed")


def known_map(grid: Grid) -> Transform:
    return chain(smooth_displacement(padded(grid, (8, 8, 8), (8, 8, 8)), amplitude_mm=6.0), TURN)


def write_points(path: Path, points: torch.Tensor) -> Path:
    write_table_csv(("x", "y", "z", "name"), [[*p, f"p{n}"] for n, p in enumerate(points.tolist())], path)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    transform = known_map(GRIDS["oblique"])
    write_transform(transform, tmp_path / "transform.h5")
    write_points(tmp_path / "fixed.csv", points_inside(GRIDS["oblique"], 40))
    return tmp_path


def test_fixed_points_go_through_the_transform(place: Path) -> None:
    record = move_points_file(place / "transform.h5", place / "fixed.csv", place / "out.csv", settings=THERE)
    moved, columns = read_points_csv(place / "out.csv")
    expected = known_map(GRIDS["oblique"]).apply(points_inside(GRIDS["oblique"], 40))
    torch.testing.assert_close(moved, expected, atol=1e-3, rtol=0)
    assert columns["name"][:2] == ("p0", "p1")
    assert (record.points, record.outside) == (40, 0)


def test_points_come_back_without_an_inverse_file(place: Path) -> None:
    move_points_file(place / "transform.h5", place / "fixed.csv", place / "there.csv", settings=THERE)
    record = move_points_file(place / "transform.h5", place / "there.csv", place / "back.csv", settings=BACK)
    assert "inverted at each point" in record.how
    # Written with four decimals, twice.
    torch.testing.assert_close(
        read_points_csv(place / "back.csv")[0], points_inside(GRIDS["oblique"], 40), atol=1e-3, rtol=0
    )


def test_an_inverse_beside_the_transform_is_used_if_it_belongs_to_it(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transform = known_map(GRIDS["oblique"])
    write_transform(transform.inverse(), place / "inverse.h5")
    way = point_map(place / "transform.h5", "moving", "fixed", format=None, spaces=Spaces())
    assert "inverse.h5 beside" in way.how
    points = points_inside(GRIDS["oblique"], 200, margin_vox=1.0)
    assert float((way.move(transform.apply(points))[0] - points).norm(dim=1).max()) < 0.2
    write_transform(chain(transform, transform).inverse(), place / "inverse.h5")
    way = point_map(place / "transform.h5", "moving", "fixed", format=None, spaces=Spaces())
    assert "inverted at each point" in way.how
    assert "is not the inverse of" in caplog.text


def test_points_outside_are_kept_and_marked(place: Path) -> None:
    far = torch.cat([points_inside(GRIDS["oblique"], 3), torch.tensor([[900.0, 0.0, 0.0]], dtype=torch.float64)])
    write_points(place / "far.csv", far)
    for settings in (THERE, BACK):
        record = move_points_file(
            place / "transform.h5", place / "far.csv", place / "out.csv", settings=settings, overwrite=True
        )
        assert (record.points, record.outside, record.marked) == (4, 1, True)
        assert read_points_csv(place / "out.csv")[1]["outside"] == ("0", "0", "0", "1")


def test_one_space_twice_and_the_wrong_file_of_two_are_refused(place: Path) -> None:
    with pytest.raises(UsageError, match="two different spaces"):
        move_points_file(
            place / "transform.h5", place / "fixed.csv", place / "o.csv", settings=replace(THERE, target="fixed")
        )
    write_transform(TURN, place / "inverse.h5")
    with pytest.raises(UsageError, match=r"is the inverse of transform\.h5 beside it"):
        move_points_file(place / "inverse.h5", place / "fixed.csv", place / "o.csv", settings=THERE)


def test_keypoints_in_voxels_need_both_images(place: Path) -> None:
    grid = axis_aligned_grid((10, 11, 12), (2.0, 2.0, 2.0))
    moving = axis_aligned_grid((10, 11, 12), (1.0, 1.0, 1.0), (5.0, 6.0, 7.0))
    for name, each in (("f.nii.gz", grid), ("m.nii.gz", moving)):
        write_volume(Volume(data=torch.zeros(1, *each.shape), grid=each), place / name)
    write_transform(Affine.identity(), place / "same.h5")
    (place / "kp.csv").write_text("3,4,5\n")
    with pytest.raises(UnspecifiedError, match="need the image that they belong to"):
        move_points_file(place / "same.h5", place / "kp.csv", place / "o.csv", settings=THERE)
    settings = replace(THERE, fixed=place / "f.nii.gz", moving=place / "m.nii.gz")
    record = move_points_file(place / "same.h5", place / "kp.csv", place / "o.csv", settings=settings)
    np.testing.assert_allclose(np.loadtxt(place / "o.csv", delimiter=","), [6 - 5, 8 - 6, 10 - 7])
    assert record.marked is False


def test_the_command_says_what_it_did(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["points", "-t", str(place / "transform.h5"), "-p", str(place / "fixed.csv"), "--from", "fixed"]
    assert main([*words, "--to", "moving", "-o", str(place / "out.mrk.json"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["points"], record["outside"], record["how"]) == (40, 0, "the transform")
    assert main([*words, "--to", "fixed", "-o", str(place / "out.csv")]) == 2
    assert "need two different spaces" in capsys.readouterr().err
