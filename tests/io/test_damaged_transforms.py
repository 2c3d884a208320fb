"""Transform files that are damaged or cut short are refused by name, in one sentence and without a library's lines."""

import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import SimpleITK as sitk

from laws import GRIDS, smooth_displacement
from samereg.errors import InputError
from samereg.geometry.affine import Affine
from samereg.geometry.transform import Transform
from samereg.io.transform_files import read_transform_file
from samereg.io.transform_formats.elastix import read_elastix, write_elastix
from samereg.io.transform_formats.fsl import read_fsl
from samereg.io.transform_formats.learn2reg import read_learn2reg, write_learn2reg
from samereg.io.transform_formats.nifti_vectors import read_vectors
from samereg.io.transform_formats.ras_matrix import read_ras_matrix
from samereg.io.transform_formats.spaces import Spaces
from samereg.io.transforms import read_transform, write_transform

GRID = GRIDS["LPS"]
SPACES = Spaces(fixed=GRID, moving=GRID)
TEXT = (
    "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
    "Parameters: 1 0 0 0 1 0 0 0 1 14.25 5 36.5\nFixedParameters: 10.5 20.5 30.5\n"
)
LINEAR = (
    sitk.AffineTransform(3),
    sitk.Euler3DTransform(),
    sitk.VersorTransform(),
    sitk.VersorRigid3DTransform(),
    sitk.Similarity3DTransform(),
    sitk.ScaleVersor3DTransform(),
    sitk.ScaleSkewVersor3DTransform(),
    sitk.TranslationTransform(3),
    sitk.ScaleTransform(3),
    sitk.Transform(3, sitk.sitkIdentity),
)


def refusal(path: Path) -> str:
    with pytest.raises(InputError, match=path.name) as caught:
        read_transform(path)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".tfm", ".txt", ".mat", ".h5"])
@pytest.mark.parametrize("transform", LINEAR, ids=lambda transform: transform.GetName())
def test_every_linear_transform_that_itk_writes_is_read(transform: sitk.Transform, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{suffix}"
    try:
        sitk.WriteTransform(transform, str(path))
        sitk.ReadTransform(str(path))
    except RuntimeError:
        pytest.skip(f"ITK reads no {transform.GetName()} from {suffix}")
    assert isinstance(read_transform(path), Affine)


@pytest.mark.parametrize("suffix", [".tfm", ".txt"])
def test_text_cut_anywhere_is_refused(suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"t{suffix}"
    for length in range(len(TEXT)):
        path.write_text(TEXT[:length])
        refusal(path)
    assert capfd.readouterr() == ("", "")
    path.write_text(TEXT)
    assert isinstance(read_transform(path), Affine)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (" 36.5\n", "\n", "gives 11 parameters and 3 fixed parameters for a AffineTransform; need 12 and 3"),
        (" 36.5\n", " 36.5 7\n", "gives 13 parameters"),
        (" 30.5\n", "\n", "2 fixed parameters"),
        (" 14.25 ", " 14,25 ", "is damaged: a parameter is no number"),
        (" 14.25 ", " 14.2x ", "is damaged: a parameter is no number"),
        (" 14.25 ", " 14_25 ", "is damaged: a parameter holds an underscore"),
        (" 14.25 ", " nan ", "holds numbers that are NaN or infinite"),
        (" 14.25 ", " 1e999 ", "holds numbers that are NaN or infinite"),
        ("Parameters: 1", "Paremeters: 1", "line 4 is 'Paremeters: 1"),
        ("Parameters: 1", "Parameters 1", "line 4 is 'Parameters 1"),
    ],
)
def test_damaged_text_is_refused_for_what_is_wrong(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "t.tfm"
    path.write_text(TEXT.replace(old, new, 1))
    assert sentence in refusal(path)


def test_a_matlab_file_cut_anywhere_or_longer_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.mat"
    sitk.WriteTransform(sitk.AffineTransform(3), str(path))
    content = path.read_bytes()
    wrong = [content[:length] for length in range(1, len(content), 5)]
    wrong += [content + b"x", content + content[:47], content.replace(b"fixed", b"fixes")]
    for rows in (-1, 11, 13, 2**31 - 1):
        wrong.append(content[:4] + struct.pack("<i", rows) + content[8:])
    for damaged in wrong:
        path.write_bytes(damaged)
        refusal(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_damaged_h5_prints_no_lines_of_hdf5(share: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.h5"
    write_transform(smooth_displacement(GRID), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refusal(path)
    # Bytes 9 to 100 are of the superblock and the root group: whatever is changed there shows.
    path.write_bytes(content[:9] + bytes(90) + content[99:])
    refusal(path)
    assert capfd.readouterr() == ("", "")


PARAMETERS, FIXED = "TransformParameters", "TransformFixedParameters"
AFFINE, FIELD = Affine.identity(), smooth_displacement(GRID)


@pytest.mark.parametrize(
    ("transform", "name", "change"),
    [
        (AFFINE, PARAMETERS, lambda v: v[:-3]),
        (AFFINE, PARAMETERS, lambda v: np.append(v, 0.0)),
        (FIELD, PARAMETERS, lambda v: v[:-3]),
        (FIELD, PARAMETERS, lambda v: np.append(v, 0.0)),
        (FIELD, FIXED, lambda v: v[:-1]),
        (FIELD, FIXED, lambda v: np.append(v, 0.0)),
        (FIELD, FIXED, lambda v: v[:0]),
        (FIELD, FIXED, lambda v: np.concatenate([[v[0] + 1.0], v[1:]])),
        (FIELD, FIXED, lambda v: np.concatenate([[1e15], v[1:]])),
        (FIELD, FIXED, lambda v: np.concatenate([[-3.0], v[1:]])),
    ],
)
def test_an_h5_with_another_number_of_parameters_is_refused(
    transform: Transform, name: str, change: object, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.h5"
    write_transform(transform, path)
    with h5py.File(path, "r+") as stored:
        numbers = stored[f"TransformGroup/1/{name}"][()]
        del stored[f"TransformGroup/1/{name}"]
        assert callable(change)
        stored[f"TransformGroup/1/{name}"] = change(numbers)
    refusal(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("bent", [True, False])
def test_a_parameter_file_of_elastix_cut_inside_a_line_is_refused(bent: bool, tmp_path: Path) -> None:
    path = tmp_path / "TransformParameters.0.txt"
    transform: Transform = smooth_displacement(GRID) if bent else Affine.identity()
    write_elastix(transform, path, Spaces())
    content = path.read_text().rstrip("\n")
    for length in range(1, len(content), 7):
        if content[length - 1] in ")\n" or content[length] == ")":
            continue
        path.write_text(content[:length])
        with pytest.raises(InputError, match=r"TransformParameters\.0\.txt: "):
            read_elastix(path, Spaces())


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("(NumberOfParameters 12)", "(NumberOfParameters 13)", "says that it has 13 parameters, but holds 12"),
        ("(TransformParameters 1 0", "(TransformParameters 1 0_0", "holds '0_0'; need numbers"),
        ("(TransformParameters 1 0", "(TransformParameters 1 0x", "holds '0x'; need numbers"),
        ("(Transform ", '(UseBinaryFormatForTransformationParameters "true")\n(Transform ', "in a binary file"),
        ("(CenterOfRotationPoint 0 0 0)", "(CenterOfRotationPoint 0 0 0", "line 4 is '"),
    ],
)
def test_damaged_entries_of_elastix_are_refused(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    write_elastix(Affine.identity(), path, Spaces())
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=r"t\.txt: ") as caught:
        read_elastix(path, Spaces())
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("GridSize", "4 4 3.5"), ("BSplineTransformSplineOrder", "three")])
def test_a_spline_with_damaged_entries_is_refused(name: str, value: str, tmp_path: Path) -> None:
    lines = {
        "Transform": '"BSplineTransform"',
        "TransformParameters": " ".join(["0"] * 192),
        "GridSize": "4 4 4",
        "GridSpacing": "1 1 1",
        "GridOrigin": "0 0 0",
        "BSplineTransformSplineOrder": "3",
    }
    path = tmp_path / "t.txt"
    path.write_text("".join(f"({key} {text})\n" for key, text in lines.items()))
    read_elastix(path, Spaces())
    path.write_text("".join(f"({key} {text})\n" for key, text in (lines | {name: value}).items()))
    with pytest.raises(InputError, match=r"t\.txt: "):
        read_elastix(path, Spaces())


@pytest.mark.parametrize("read", [read_ras_matrix, read_fsl])
@pytest.mark.parametrize("row", ["0 0 0 0", "1_0 0 0 0", "nan 0 0 0", "1 0 0", "1 0 0 0 0"])
def test_matrices_that_are_none_are_refused(read: object, row: str, tmp_path: Path) -> None:
    path = tmp_path / "t.mat"
    path.write_text(f"{row}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    assert callable(read)
    with pytest.raises(InputError, match=r"matrix|numbers|t\.mat"):
        read(path, SPACES)


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disp_0001_0002.npz"
    write_learn2reg(smooth_displacement(GRID), path, SPACES)
    content = path.read_bytes()
    read_learn2reg(path, SPACES)
    flipped = bytearray(content)
    flipped[int(0.6 * len(content))] ^= 0xFF
    for damaged in (bytes(flipped), content[: len(content) // 2], content[:-1], b""):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"disp_0001_0002\.npz: "):
            read_learn2reg(path, SPACES)


@pytest.mark.parametrize("shape", [(3, 40000, 40000, 40000), (3, 2, 2, 1), (3, 2, 2, 3)])
def test_an_npz_with_another_number_of_values_than_it_says_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    path, array = tmp_path / "t.npz", tmp_path / "t.npy"
    np.save(array, np.zeros((3, 2, 2, 2), np.float16))
    content = array.read_bytes().replace(b"(3, 2, 2, 2), }", f"{shape}, }}".encode())
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("arr_0.npy", content)
    with pytest.raises(InputError, match=r"t\.npz: "):
        read_learn2reg(path, SPACES)


@pytest.mark.parametrize("format", ["nifti-1006", "niftyreg", "learn2reg", "greedy", "ants", "itk"])
def test_a_damaged_nifti_field_is_refused_whatever_it_is_taken_for(
    format: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "warp.nii.gz"
    vectors = np.random.default_rng(0).normal(size=(*GRID.shape, 3)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(vectors, isVector=True), str(path))
    read_vectors(path)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[-6] ^= 0xFF
    for damaged in (bytes(flipped), content[:-9], content + b"garbage"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"warp\.nii\.gz: "):
            read_transform_file(path, format=format, spaces=SPACES)  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")
