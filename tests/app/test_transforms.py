"""`samereg convert`, `invert`, `compose` and `inspect`: what is written, what is measured, what is refused."""

import json
import random
from pathlib import Path

import pytest
import torch

from laws import GRIDS, points_inside, rotation, smooth_displacement
from samereg.app.inspection import inspect_file
from samereg.app.transforms import Formats, compose_files, convert_file, invert_file
from samereg.cli.main import main
from samereg.errors import InputError, TransformError, UsageError
from samereg.geometry.affine import Affine
from samereg.geometry.chain import chain, parts
from samereg.geometry.displacement import Displacement
from samereg.geometry.grid import Grid, axis_aligned_grid, bounding_grid, padded
from samereg.geometry.transform import Transform
from samereg.geometry.velocity import Velocity
from samereg.io.transform_files import read_transform_file, recognise_transform, write_transform_file
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transforms import read_transform, write_transform

TURN = Affine.from_parts(rotation((0.2, 1.0, -0.4), 6.0) * 0.97, torch.tensor([4.0, -9.0, 5.0], dtype=torch.float64))
NOWHERE = Spaces()

FORMATS = {
    "itk": "t.h5",
    "field": "t.nrrd",
    "nifti-1006": "t.nii.gz",
    "ants": "t",
    "elastix": "t.txt",
    "greedy": "t.mat",
    "niftyreg": "t.nii.gz",
    "learn2reg": "t.nii.gz",
    "fsl": "t.mat",
}


def random_grid(choose: random.Random) -> Grid:
    linear = rotation(tuple(choose.uniform(-1, 1) for _ in range(3)), choose.uniform(0, 180))
    linear = linear * choose.choice([1.0, -1.0])
    spacing = torch.tensor([choose.uniform(0.8, 7.0) for _ in range(3)], dtype=torch.float64)
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = linear * spacing
    affine[:3, 3] = torch.tensor([choose.uniform(-200, 200) for _ in range(3)], dtype=torch.float64)
    return Grid(shape=tuple(choose.randrange(8, 24) for _ in range(3)), affine=affine)


def random_transform(choose: random.Random, grid: Grid) -> Transform:
    axis = tuple(choose.uniform(-1, 1) for _ in range(3))
    shift = torch.tensor([choose.uniform(-20, 20) for _ in range(3)], dtype=torch.float64)
    affine = Affine.from_parts(rotation(axis, choose.uniform(0, 20)) * choose.uniform(0.9, 1.1), shift)
    bent = smooth_displacement(grid, amplitude_mm=choose.uniform(1, 8))
    kinds = {
        "affine": lambda: affine,
        "field": lambda: bent,
        "field, then affine": lambda: chain(bent, affine),
        "affine, then field": lambda: chain(affine, smooth_displacement(padded(grid, (9, 9, 9), (9, 9, 9)))),
        "flow": lambda: Velocity(grid=grid, data=smooth_displacement(grid, amplitude_mm=4.0, fades=True).data),
        "coarse field": lambda: smooth_displacement(bounding_grid(grid, spacing_mm=9.0, margin_mm=20.0)),
    }
    return kinds[choose.choice(list(kinds))]()


@pytest.mark.parametrize("trips", [25, pytest.param(200, marks=pytest.mark.slow)])
def test_random_round_trips_are_true_or_refused_by_name(trips: int, tmp_path: Path) -> None:
    choose = random.Random(0)
    refusals, outcomes = [], {"true": 0, "says so": 0}
    for number in range(trips):
        grid, other = random_grid(choose), random_grid(choose)
        transform = random_transform(choose, grid)
        format, file = choose.choice(list(FORMATS.items()))
        folder = tmp_path / str(number)
        write_transform(transform, folder / "source.h5")
        needs_images = format in ("fsl", "learn2reg") or isinstance(parts(transform)[0], Affine)
        spaces = Spaces(fixed=grid, moving=other) if needs_images else NOWHERE
        try:
            record = convert_file(folder / "source.h5", folder / file, formats=Formats(target=format), spaces=spaces)
        except (TransformError, UsageError) as error:
            refusals.append((str(folder / file), str(error)))
            continue
        points = points_inside(grid, margin_vox=0.01)
        again = read_transform_file(folder / file, format=format, spaces=spaces)
        apart = float((again.apply(points) - transform.apply(points)).norm(dim=1).max())
        if record.exit_status == 0:
            assert apart < 0.05, (number, format)
            outcomes["true"] += 1
        else:
            assert f"{folder / file} differs from the transform by up to" in record.faults[0]
            outcomes["says so"] += 1
    assert all(file in sentence for file, sentence in refusals)
    assert outcomes["true"] > 0.55 * trips, outcomes


@pytest.mark.parametrize("name", list(GRIDS))
def test_the_inverse_undoes_the_transform(name: str, tmp_path: Path) -> None:
    grid = GRIDS[name]
    transform = chain(smooth_displacement(grid, amplitude_mm=6.0, fades=True), TURN)
    write_transform(transform, tmp_path / "transform.h5")
    record = invert_file(
        tmp_path / "transform.h5", tmp_path / "inverse.h5", formats=Formats(), spaces=NOWHERE, tolerance_mm=0.5
    )
    assert (record.exit_status, record.parts) == (0, ("affine", "displacement"))
    points = points_inside(grid, margin_vox=1.0)
    there = transform.apply(points)
    assert float((read_transform(tmp_path / "inverse.h5").apply(there) - points).norm(dim=1).mean()) < 0.05


def test_the_inverse_of_a_fold_says_so(tmp_path: Path) -> None:
    grid = axis_aligned_grid((12, 12, 12), (4.0, 4.0, 4.0))
    data = torch.zeros(3, *grid.shape)
    data[0, :, :, 4:8] = torch.tensor([20.0, -20.0, 20.0, -20.0])
    write_transform(Displacement(grid=grid, data=data), tmp_path / "folded.h5")
    record = invert_file(
        tmp_path / "folded.h5", tmp_path / "out.h5", formats=Formats(), spaces=NOWHERE, tolerance_mm=0.5
    )
    assert record.exit_status == 10
    assert "may fold" in record.faults[0]
    assert inspect_file(tmp_path / "folded.h5", format=None, spaces=NOWHERE).folded_fraction > 0.05


def test_composition_applies_the_first_first(tmp_path: Path) -> None:
    grid = GRIDS["LPS"]
    bend = smooth_displacement(grid)
    write_transform(TURN, tmp_path / "turn.tfm")
    write_transform(bend, tmp_path / "bend.h5")
    points = points_inside(grid)
    for first, then, expected in (
        ("turn.tfm", "bend.h5", chain(TURN, bend)),
        ("bend.h5", "turn.tfm", chain(bend, TURN)),
    ):
        compose_files(
            [tmp_path / first, tmp_path / then], tmp_path / "out.h5", target=None, spaces=NOWHERE, overwrite=True
        )
        composed = read_transform(tmp_path / "out.h5")
        torch.testing.assert_close(composed.apply(points), expected.apply(points), atol=1e-4, rtol=0)


def test_an_inspection_measures_what_can_be_measured(tmp_path: Path) -> None:
    grid = GRIDS["anisotropic"]
    data = torch.zeros(3, *grid.shape)
    data[2] = 7.0
    write_transform_file(Displacement(grid=grid, data=data), tmp_path / "t.nii.gz", spaces=NOWHERE)
    found = inspect_file(tmp_path / "t.nii.gz", format=None, spaces=NOWHERE)
    facts = {fact.name: fact for fact in found.facts}
    assert (found.format, found.folded_fraction) == ("field", 0.0)
    assert found.mean_mm == pytest.approx(7.0)
    assert found.max_mm == pytest.approx(7.0)
    assert facts["kind"].value == "displacement"
    assert facts["direction"].sure == "convention of the format"
    assert "27 x 31 x 14 voxels of 3.5 x 3 x 7 mm" in facts["domain"].value


def test_files_that_several_tools_write_alike_are_not_guessed(tmp_path: Path) -> None:
    grid = GRIDS["LPS"]
    spaces = Spaces(fixed=grid, moving=grid)
    write_transform_file(TURN, tmp_path / "m.mat", format="greedy", spaces=NOWHERE)
    with pytest.raises(UsageError, match=r"m\.mat: holds sixteen numbers.*give the format"):
        recognise_transform(tmp_path / "m.mat")
    write_transform_file(smooth_displacement(grid), tmp_path / "d.nii.gz", format="learn2reg", spaces=spaces)
    with pytest.raises(UsageError, match=r"d\.nii\.gz: is 4-D.*give the format"):
        recognise_transform(tmp_path / "d.nii.gz")


@pytest.mark.parametrize(
    ("format", "file"), [(name, file) for name, file in FORMATS.items() if name not in ("greedy", "fsl", "learn2reg")]
)
def test_files_that_say_what_they_are_are_recognised(format: str, file: str, tmp_path: Path) -> None:
    grid = GRIDS["LPS"]
    write_transform_file(smooth_displacement(grid), tmp_path / file, format=format, spaces=NOWHERE)
    assert recognise_transform(tmp_path / file).format == format


@pytest.mark.parametrize("name", ["a.txt", "a.mat", "a.nii.gz", "a.npz", "a.h5", "a.mha", "a.xyz"])
@pytest.mark.parametrize("format", [None, *FORMATS])
def test_other_bytes_are_refused_whatever_they_are_called(name: str, format: str | None, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"hello there")
    spaces = Spaces(fixed=GRIDS["LPS"], moving=GRIDS["LPS"])
    with pytest.raises(InputError, match="a"):
        read_transform_file(tmp_path / name, format=format, spaces=spaces)


def test_what_depends_on_images_asks_for_them(tmp_path: Path) -> None:
    write_transform(TURN, tmp_path / "t.h5")
    for file, format in (("o.mat", "fsl"), ("o.npz", None), ("o.nii.gz", None)):
        with pytest.raises(UsageError, match="needs the fixed image"):
            convert_file(tmp_path / "t.h5", tmp_path / file, formats=Formats(target=format), spaces=NOWHERE)


def test_the_commands_write_and_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_transform(chain(smooth_displacement(GRIDS["LPS"], fades=True), TURN), tmp_path / "t.h5")
    t, out = str(tmp_path / "t.h5"), str(tmp_path / "o.nii.gz")
    assert main(["convert", "-t", t, "-o", out, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["target"], record["files"]) == ("field", [out])
    assert record["max_mm"] < 1e-3
    assert main(["convert", "-t", t, "-o", out]) == 2
    assert main(["invert", "-t", t, "-o", str(tmp_path / "i.h5"), "--json"]) == 0
    assert main(["compose", "--first", t, "--then", str(tmp_path / "i.h5"), "-o", str(tmp_path / "c.h5"), "-q"]) == 0
    capsys.readouterr()
    assert main(["inspect", "-t", str(tmp_path / "c.h5")]) == 0
    assert "displacement, then affine, then displacement" in capsys.readouterr().out


def test_files_beside_the_output_are_kept_too(tmp_path: Path) -> None:
    bend = chain(smooth_displacement(GRIDS["LPS"]), TURN)
    write_transform(bend, tmp_path / "bend.h5")
    write_transform(TURN, tmp_path / "turn.h5")
    for file, format, taken in (("e.txt", "elastix", "e_field.mha"), ("a", "ants", "a1Warp.nii.gz")):
        (tmp_path / taken).write_bytes(b"precious")
        with pytest.raises(UsageError, match=taken):
            convert_file(tmp_path / "bend.h5", tmp_path / file, formats=Formats(target=format), spaces=NOWHERE)
        assert (tmp_path / taken).read_bytes() == b"precious"
    with pytest.raises(UsageError, match="would be read as part"):
        convert_file(
            tmp_path / "turn.h5", tmp_path / "a", formats=Formats(target="ants"), spaces=NOWHERE, overwrite=True
        )


def test_a_warp_without_a_grid_leaves_nothing_behind(tmp_path: Path) -> None:
    write_transform(chain(TURN, smooth_displacement(GRIDS["LPS"])), tmp_path / "t.h5")
    with pytest.raises(UsageError, match="needs the fixed image"):
        convert_file(tmp_path / "t.h5", tmp_path / "a", formats=Formats(target="ants"), spaces=NOWHERE)
    assert [path.name for path in tmp_path.iterdir()] == ["t.h5"]
