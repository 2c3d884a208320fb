"""What files are called is known to their formats alone; everything else asks the lists of formats."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from samereg.app.settings import PointFormatOrAuto, TransformFormatOrAuto
from samereg.io.format_names import PointFormatName, TransformFormatName
from samereg.io.images import IMAGE_FORMATS
from samereg.io.point_files import FORMATS as POINTS
from samereg.io.transform_files import FORMATS as TRANSFORMS

SOURCE = Path(__file__).parents[2] / "src" / "samereg"
OUTSIDE = sorted(path for path in SOURCE.rglob("*.py") if SOURCE / "io" not in path.parents)

SUFFIXES = {suffix for each in (*TRANSFORMS, *POINTS, *IMAGE_FORMATS) for suffix in each.suffixes} - {".txt", ".csv"}
"""Text and tables are no formats of their own: logs and lists of anything are called so too."""
SPECIAL = ("GenericAffine", "Warp", "TransformParameters.")
"""Names that other tools give."""

NAMED = {
    "files of a run": {"moved.nii.gz", "transform.h5", "inverse.h5", "confidence.nii.gz", "registration.dcm", "/*.dcm"},
    "files of a demonstration and of a synthetic cohort": {
        *("fixed.nii.gz", "moving.nii.gz", "fixed_labels.nii.gz", "moving_labels.nii.gz", ".nii.gz"),
        *("images/phantom-[0-9][0-9][0-9]*-CE.nii.gz", "images/phantom-[0-9][0-9][0-9]*-NC.nii.gz"),
        "labels/phantom-[0-9][0-9][0-9]*.nii.gz",
    },
    "files between us and programs": {".mha", "fixed.mha", "moving.mha", "field.mha"},
    "commands of other tools": {"[ants_,ants_moved.nii.gz]", "greedy_affine.mat", "niftyreg_moved.nii.gz"},
}
PLACES = {"app/run_folder.py", "app/directions.py", "app/phantoms.py", "app/demo.py"}
PLACES |= {"app/starting.py", "report/sources.py", "report/shown_maps.py", "cli/demo.py", "cli/summary.py"}
PLACES |= {"baselines/elastix.py", "baselines/elastix_program.py", "baselines/deeds_original.py"}
PLACES |= {"bench/record.py", "bench/phantom_dataset.py"}
"""Files that may name those; no other names any."""


def texts_of(path: Path) -> list[str]:
    """Texts in a file's code: neither documentation nor help."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in said]
    return [node.value for node in constants if isinstance(node.value, str)]


def names_of_files(text: str) -> list[str]:
    endings = "|".join(re.escape(suffix) for suffix in sorted(SUFFIXES, key=len, reverse=True))
    words = re.findall(rf"\S*(?:{endings})(?![\w])\S*", text)
    return [word.strip(" :;,()'") for word in words] + [word for word in SPECIAL if word in text]


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_outside_io_knows_what_formats_call_their_files(path: Path) -> None:
    found = {word for text in texts_of(path) for word in names_of_files(text)}
    allowed = {name for names in NAMED.values() for name in names}
    known = allowed if str(path.relative_to(SOURCE)) in PLACES else set()
    assert {word for word in found if word not in known and not word.endswith(tuple(f"/{n}" for n in known))} == set()


@pytest.mark.parametrize("text", ["a.nii.gz", "need .h5, or another", "x1Warp", "TransformParameters.0.txt", ".mat"])
def test_the_search_sees_names_of_formats(text: str) -> None:
    assert names_of_files(text)


def test_names_for_flags_are_those_of_the_formats() -> None:
    assert set(get_args(TransformFormatName)) == {each.name for each in TRANSFORMS}
    assert set(get_args(PointFormatName)) == {each.name for each in POINTS}
    assert set(get_args(TransformFormatOrAuto)) == {"auto", *get_args(TransformFormatName)}
    assert set(get_args(PointFormatOrAuto)) == {"auto", *get_args(PointFormatName)}


def test_no_two_formats_share_a_name_or_are_asked_for_by_one_suffix() -> None:
    for family in (TRANSFORMS, POINTS, IMAGE_FORMATS):
        assert len({each.name for each in family}) == len(family)
    for written in ([each.written for each in TRANSFORMS], [each.written for each in IMAGE_FORMATS]):
        suffixes = [suffix for one in written for suffix in one]
        assert len(set(suffixes)) == len(suffixes)


def test_help_names_every_suffix_that_tells_the_format_of_an_output() -> None:
    texts = (SOURCE / "cli" / "options.py").read_text(encoding="utf-8").split('"""')
    (described,) = [text for text in texts if text.startswith("Output format; auto uses the suffix")]
    named = set(re.findall(r"\.\w+(?:\.gz)?", described))
    for each in TRANSFORMS:
        assert set(each.written) <= named | {".hdf5", ".nii"}, (
            each.name
        )  # older spellings, which work and are not shown
    assert named <= {suffix for each in TRANSFORMS for suffix in each.written}
