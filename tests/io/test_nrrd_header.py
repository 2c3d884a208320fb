"""What NRRD and MetaImage headers say about place: units, spaces, axes."""

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from samereg.errors import GeometryError, InputError
from samereg.geometry.grid import Grid
from samereg.io.channels import has_channels, read_channels
from samereg.io.images import read_labels, read_volume
from samereg.io.transforms import read_transform

ARRAY = np.arange(4 * 5 * 6, dtype="<i2").reshape(4, 5, 6)
DIRECTIONS = "space directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (10,20,30)\n"
LPS = "space: left-posterior-superior\n" + DIRECTIONS


def nrrd(path: Path, place: str, *, sizes: str = "6 5 4", array: np.ndarray = ARRAY) -> Path:
    kind = "short" if array.dtype.itemsize == 2 else "float"
    header = f"NRRD0005\ntype: {kind}\ndimension: {len(sizes.split())}\nsizes: {sizes}\n{place}endian: little\n"
    path.write_bytes(f"{header}encoding: raw\n\n".encode() + array.tobytes())
    return path


def corner_mm(grid: Grid) -> list[float]:
    """Position of the last voxel."""
    corner: list[float] = grid.to_world(torch.tensor([n - 1.0 for n in grid.shape], dtype=torch.float64)).tolist()
    return corner


@pytest.mark.parametrize(
    ("units", "factors"),
    [
        ('"mm" "mm" "mm"', (1.0, 1.0, 1.0)),
        ('"" "" ""', (1.0, 1.0, 1.0)),
        ('"cm" "cm" "cm"', (10.0, 10.0, 10.0)),
        ('"um" "um" "um"', (0.001, 0.001, 0.001)),
        ('"mm" "mm" "cm"', (1.0, 1.0, 10.0)),
        ('"\u00b5m" "micron" "\u03bcm"', (0.001, 0.001, 0.001)),
    ],
)
def test_units_of_space_become_mm(units: str, factors: tuple[float, ...], tmp_path: Path) -> None:
    small = LPS.replace("2,0,0", "20,0,0").replace("0,3,0", "0,30,0").replace("0,0,4", "0,0,40")
    place = small if 0.001 in factors else LPS
    steps = (20.0, 30.0, 40.0) if 0.001 in factors else (2.0, 3.0, 4.0)
    for text in (f"{place}space units: {units}\n", f"spacings: {' '.join(map(str, steps))}\nunits: {units}\n"):
        for read in (read_volume, read_labels):
            grid = read(nrrd(tmp_path / "scan.nrrd", text)).grid
            assert grid.spacing_mm[::-1] == pytest.approx([s * f for s, f in zip(steps, factors, strict=True)])
        if "origin" in text:
            assert grid.origin_mm.tolist() == pytest.approx(
                [o * f for o, f in zip((10.0, 20.0, 30.0), factors, strict=True)]
            )


def test_metres_become_mm(tmp_path: Path) -> None:
    place = "space: RAS\nspace directions: (0.002,0,0) (0,0.003,0) (0,0,0.004)\nspace origin: (0.01,0.02,0.03)\n"
    grid = read_volume(nrrd(tmp_path / "scan.nrrd", place + 'space units: "m" "m" "m"\n')).grid
    assert grid.spacing_mm == pytest.approx((4.0, 3.0, 2.0))
    assert grid.origin_mm.tolist() == pytest.approx([-10.0, -20.0, 30.0])


@pytest.mark.parametrize("unit", ["in", "pixel", "km"])
def test_units_that_are_no_length_are_refused_by_name(unit: str, tmp_path: Path) -> None:
    path = nrrd(tmp_path / "scan.nrrd", LPS + f'space units: "mm" "mm" "{unit}"\n')
    with pytest.raises(GeometryError, match=rf"scan\.nrrd: gives its place in the unit '{unit}'; need mm, cm, m or um"):
        read_volume(path)


@pytest.mark.parametrize(("unit", "factor"), [("cm", 10.0), ("um", 0.001), ("mm", 1.0), ("?", 1.0)])
def test_units_of_metaimage_become_mm(unit: str, factor: float, tmp_path: Path) -> None:
    step = 2.0 / factor
    header = (
        f"ObjectType = Image\nNDims = 3\nDistanceUnits = {unit}\nDimSize = 6 5 4\nElementSpacing = {step} {step} "
        f"{step}\nOffset = {step} 0 0\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    (tmp_path / "scan.mha").write_bytes(header.encode() + ARRAY.tobytes())
    grid = read_volume(tmp_path / "scan.mha").grid
    assert grid.spacing_mm == pytest.approx((2.0, 2.0, 2.0))
    assert grid.origin_mm.tolist() == pytest.approx([2.0, 0.0, 0.0])


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nii"])
def test_a_field_in_another_unit_than_mm_is_refused(name: str, tmp_path: Path) -> None:
    vectors = np.zeros((4, 5, 6, 3), "<f4")
    place = LPS.replace("directions: ", "directions: none ") + "kinds: vector domain domain domain\n"
    path = nrrd(tmp_path / "scan.nrrd", place + 'space units: "cm" "cm" "cm"\n', sizes="3 6 5 4", array=vectors)
    if name == "scan.nii":
        path = tmp_path / name
        nib.save(nifti_field(vectors), path)
    with pytest.raises(InputError, match=rf"{name}: uses a unit other than mm"):
        read_transform(path)


def nifti_field(vectors: np.ndarray) -> nib.Nifti1Image:
    made = nib.Nifti1Image(vectors.transpose(2, 1, 0, 3)[:, :, :, None], np.eye(4))
    made.header["intent_code"] = 1007
    made.header.set_xyzt_units("meter")
    return made


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ("left-posterior-superior", [20.0, 32.0, 42.0]),
        ("LPS", [20.0, 32.0, 42.0]),
        ("right-anterior-superior", [-20.0, -32.0, 42.0]),
        ("RAS", [-20.0, -32.0, 42.0]),
        ("left-anterior-superior", [20.0, -32.0, 42.0]),
        ("LAS", [20.0, -32.0, 42.0]),
    ],
)
def test_every_anatomical_space_becomes_lps(
    space: str, expected: list[float], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        grid = read_volume(nrrd(tmp_path / "scan.nrrd", f"space: {space}\n{DIRECTIONS}")).grid
    assert corner_mm(grid) == expected
    assert caplog.text == ""


@pytest.mark.parametrize("space", ["space: scanner-xyz\n", "space: 3D-left-handed\n", "space dimension: 3\n"])
def test_a_space_that_is_not_anatomical_is_taken_for_lps_with_a_warning(
    space: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        grid = read_volume(nrrd(tmp_path / "scan.nrrd", space + DIRECTIONS)).grid
    assert corner_mm(grid) == [20.0, 32.0, 42.0]
    assert caplog.text.count("assuming LPS axes") == 1


def test_a_warning_about_a_field_reaches_the_error_stream(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = f"space: scanner-xyz\n{DIRECTIONS}kinds: vector domain domain domain\n".replace("ions: ", "ions: none ")
    path = nrrd(tmp_path / "field.nrrd", place, sizes="3 6 5 4", array=np.zeros((4, 5, 6, 3), "<f4"))
    logger = logging.getLogger("samereg")
    with open(2, "w", closefd=False) as stream:
        handler = logging.StreamHandler(stream)
        logger.addHandler(handler)
        try:
            read_transform(path)
        finally:
            logger.removeHandler(handler)
    assert capfd.readouterr().err.count("assuming LPS axes") == 1


def test_left_handed_axes_are_kept(tmp_path: Path) -> None:
    grid = read_volume(nrrd(tmp_path / "scan.nrrd", LPS.replace("(0,0,4)", "(0,0,-4)"))).grid
    assert corner_mm(grid) == [20.0, 32.0, 18.0]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (LPS.replace("(0,0,4)", "none"), "gives a direction .* for 2 of its axes; need one for each of 3"),
        (LPS.replace("(2,0,0) (0,3,0) (0,0,4)", "none none none"), "gives a direction .* for 0 of its axes"),
        ("thicknesses: nan nan 5\n", "gives thicknesses, but neither space directions nor spacings"),
        ("spacings: 2 3 nan\n", "gives the spacings 2 3 nan; need a number for each axis"),
    ],
)
def test_axes_without_a_place_are_refused(place: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match=rf"scan\.nrrd: {sentence}"):
        read_volume(nrrd(tmp_path / "scan.nrrd", place))


def test_a_file_without_spacings_is_taken_for_1_mm_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert read_volume(nrrd(tmp_path / "scan.nrrd", "")).grid.spacing_mm == (1.0, 1.0, 1.0)
    assert caplog.text.count("assuming 1 mm voxels") == 1


@pytest.mark.parametrize("kind", ["vector", "list", "scalar", "covariant-vector"])
def test_an_axis_of_one_component_is_no_axis(kind: str, tmp_path: Path) -> None:
    first = LPS.replace("directions: ", "directions: none ") + f"kinds: {kind} domain domain domain\n"
    last = LPS.replace("(0,0,4)", "(0,0,4) none") + f"kinds: domain domain domain {kind}\n"
    for place, sizes in ((first, "1 6 5 4"), (last, "6 5 4 1")):
        path = nrrd(tmp_path / "scan.nrrd", place, sizes=sizes)
        assert not has_channels(path)
        assert np.array_equal(read_volume(path).data[0].numpy(), ARRAY)
        assert np.array_equal(read_labels(path).data.numpy(), ARRAY)
        assert corner_mm(read_volume(path).grid) == [20.0, 32.0, 42.0]


@pytest.mark.parametrize("axis", [0, 1, 3])
def test_components_are_found_on_whichever_axis_they_are(axis: int, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 5, 6, 2)).astype("<f4")
    stored = np.ascontiguousarray(np.moveaxis(vectors, 3, 3 - axis))
    kinds, directions = ["domain"] * 3, ["(2,0,0)", "(0,3,0)", "(0,0,4)"]
    kinds.insert(axis, "vector")
    directions.insert(axis, "none")
    place = f"kinds: {' '.join(kinds)}\nspace: LPS\nspace directions: {' '.join(directions)}\n"
    path = nrrd(tmp_path / "scan.nrrd", place, sizes=" ".join(map(str, stored.shape[::-1])), array=stored)
    assert np.array_equal(np.moveaxis(read_channels(path).array, 0, -1), vectors)


def test_an_axis_of_one_that_is_of_space_is_refused_for_that(tmp_path: Path) -> None:
    place = LPS.replace("directions: ", "directions: none ") + "kinds: domain domain domain domain\n"
    with pytest.raises(InputError, match=r"scan\.nrrd: .*number of domain axes"):
        read_volume(nrrd(tmp_path / "scan.nrrd", place, sizes="1 6 5 4"))
