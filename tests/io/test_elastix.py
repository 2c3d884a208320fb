"""Parameter files of elastix: every linear kind, chains of files, and what is refused."""

from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from laws import GRIDS, points_inside, smooth_displacement
from samereg.errors import FileError, TransformError
from samereg.geometry.chain import chain
from samereg.io.transform_formats.elastix import read_elastix, write_elastix
from samereg.io.transform_formats.spaces import Spaces

CENTRE = (10.0, 20.0, 30.0)
POINTS = points_inside(GRIDS["LPS"], 20)


def parameter_file(path: Path, kind: str, numbers: list[float], more: str = "") -> Path:
    text = f'// made by hand\n(Transform "{kind}")\n(NumberOfParameters {len(numbers)})\n'
    text += (
        f"(TransformParameters {' '.join(map(str, numbers))})\n(CenterOfRotationPoint {' '.join(map(str, CENTRE))})\n"
    )
    path.write_text(text + more)
    return path


def through(transform: sitk.Transform) -> torch.Tensor:
    return torch.tensor([transform.TransformPoint(point) for point in POINTS.tolist()], dtype=torch.float64)


def test_every_linear_kind_is_read(tmp_path: Path) -> None:
    euler = sitk.Euler3DTransform(CENTRE, 0.1, -0.2, 0.3, (1.0, 2.0, 3.0))
    zyx = sitk.Euler3DTransform(euler)
    zyx.SetComputeZYX(True)
    zyx.SetParameters(euler.GetParameters())
    similarity = sitk.Similarity3DTransform(1.1, (0.0, 0.6, 0.8), 0.4, (1.0, 2.0, 3.0), CENTRE)
    affine = sitk.AffineTransform(3)
    affine.SetCenter(CENTRE)
    affine.SetMatrix([1.1, 0.1, 0.0, -0.1, 0.9, 0.05, 0.0, 0.02, 1.05])
    affine.SetTranslation((4.0, 5.0, 6.0))
    shift = sitk.TranslationTransform(3, (7.0, 8.0, 9.0))
    cases = (
        ("EulerTransform", euler, '(ComputeZYX "false")\n'),
        ("EulerTransform", zyx, '(ComputeZYX "true")\n'),
        ("SimilarityTransform", similarity, ""),
        ("AffineTransform", affine, ""),
        ("TranslationTransform", shift, ""),
    )
    for kind, transform, more in cases:
        path = parameter_file(tmp_path / "t.txt", kind, list(transform.GetParameters()), more)
        torch.testing.assert_close(read_elastix(path, Spaces()).apply(POINTS), through(transform), atol=1e-9, rtol=0)


def test_the_initial_transform_is_applied_first_and_found_beside_the_file(tmp_path: Path) -> None:
    first = sitk.Euler3DTransform(CENTRE, 0.1, -0.2, 0.3, (1.0, 2.0, 3.0))
    parameter_file(tmp_path / "first.txt", "EulerTransform", list(first.GetParameters()))
    bend = smooth_displacement(GRIDS["LPS"])
    write_elastix(bend, tmp_path / "then.txt", Spaces())
    text = (tmp_path / "then.txt").read_text().replace("NoInitialTransform", "/elsewhere/first.txt")
    (tmp_path / "then.txt").write_text(text)
    expected = chain(read_elastix(tmp_path / "first.txt", Spaces()), bend).apply(POINTS)
    torch.testing.assert_close(read_elastix(tmp_path / "then.txt", Spaces()).apply(POINTS), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("kind", "more", "sentence"),
    [
        ("AffineLogTransform", "", "holds a AffineLogTransform"),
        ("TranslationTransform", "(FixedImageDimension 2)\n", "is 2-dimensional"),
        ("AffineTransform", "", "holds 3 numbers; need 12"),
        (
            "TranslationTransform",
            '(InitialTransformParametersFileName "t.txt")\n(HowToCombineTransforms "Add")\n',
            "by 'Add'",
        ),
        ("TranslationTransform", '(InitialTransformParametersFileName "t.txt")\n', "has circular initial transforms"),
    ],
)
def test_what_is_not_understood_is_refused(kind: str, more: str, sentence: str, tmp_path: Path) -> None:
    path = parameter_file(tmp_path / "t.txt", kind, [1.0, 2.0, 3.0], more)
    with pytest.raises(TransformError, match=sentence):
        read_elastix(path, Spaces())


def test_a_missing_initial_transform_is_named(tmp_path: Path) -> None:
    more = '(InitialTransformParametersFileName "gone.txt")\n'
    with pytest.raises(FileError, match=r"names gone\.txt"):
        read_elastix(parameter_file(tmp_path / "t.txt", "TranslationTransform", [1.0, 2.0, 3.0], more), Spaces())
