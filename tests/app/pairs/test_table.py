"""Tables of pairs: what is wrong with one is said by line and column, before anything is computed."""

import re
from pathlib import Path

import pytest

from samereg.app.pairs.pair import pairs_of_all, pairs_to_reference, scan_names
from samereg.app.pairs.table import read_pairs
from samereg.app.pairs.ways import choose_pairs
from samereg.errors import FileError, InputError, SameregError, UsageError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Files by name only: a table is judged before a scan is read."""
    for name in ("a.nii.gz", "b.nii.gz", "one/ct.nii.gz", "two/ct.nii.gz", "lungs.nii.gz", "more/lungs.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "tips.csv").write_text("x,y,z\n1,2,3\n")
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "empty").mkdir()
    return tmp_path


def written(place: Path, text: str) -> Path:
    (place / "pairs.csv").write_text(text)
    return place / "pairs.csv"


def test_a_table_names_pairs_and_what_goes_along(place: Path) -> None:
    text = "moving,fixed,labels,points,masks,note\nb.nii.gz,a.nii.gz,lungs.nii.gz | b.nii.gz,tips.csv,,seen on Monday\n"
    (pair,) = read_pairs(written(place, text))
    assert pair.name == "a__b"
    assert (pair.fixed.path, pair.moving.path) == (place / "a.nii.gz", place / "b.nii.gz")
    assert pair.labels == (place / "lungs.nii.gz", place / "b.nii.gz")
    assert pair.points == (place / "tips.csv",)


def test_semicolons_and_marks_of_spreadsheets_are_read(place: Path) -> None:
    (place / "pairs.csv").write_text("fixed;moving\na.nii.gz;b.nii.gz\n", encoding="utf-8-sig")
    assert [pair.name for pair in read_pairs(place / "pairs.csv")] == ["a__b"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fixed\na.nii.gz\n", "line 1 .* need 'moving' too"),
        ("fixed,moving,labls\na.nii.gz,b.nii.gz,\n", "line 1, column 'labls': is not known"),
        ("fixed,moving,fixed\na.nii.gz,b.nii.gz,a.nii.gz\n", "2 columns named fixed"),
        ("fixed,moving\n", "holds no pairs"),
        ("fixed,moving\na.nii.gz,b.nii.gz\na.nii.gz\n", "line 3 has 1 cells; need 2"),
        ("fixed,moving\na.nii.gz,\n", "line 2, column 'moving': is empty"),
        ("fixed,moving\na.nii.gz,c.nii.gz\n", r"line 2, column 'moving': names .*c\.nii\.gz, which does not exist"),
        ("fixed,moving\na.nii.gz,notes.txt\n", "line 2, column 'moving': .* unknown format"),
        ("fixed,moving\nempty,a.nii.gz\n", "line 2, column 'fixed': .* folder without files"),
        ("fixed,moving\na.nii.gz,a.nii.gz\n", "line 2, column 'moving': names the scan of the column 'fixed'"),
        ("fixed,moving\na.nii.gz,one/../a.nii.gz\n", "line 2, column 'moving': names the scan of the column 'fixed'"),
        ("fixed,moving,labels\na.nii.gz,b.nii.gz,no.nii.gz\n", "line 2, column 'labels': names .* does not exist"),
        ("fixed,moving,labels\na.nii.gz,b.nii.gz,one\n", "line 2, column 'labels': .* is a folder"),
        ("fixed,moving,points\na.nii.gz,b.nii.gz,notes.txt\n", "line 2, column 'points': .* unknown point format"),
        (
            "fixed,moving,fixed_labels\na.nii.gz,b.nii.gz,lungs.nii.gz|b.nii.gz\n",
            "column 'fixed_labels': names 2 files",
        ),
        (
            "fixed,moving,labels,masks\na.nii.gz,b.nii.gz,lungs.nii.gz,more/lungs.nii.gz\n",
            "line 2, column 'masks': .* would be written to one file",
        ),
        ("fixed,moving,moving_series\na.nii.gz,b.nii.gz,1.2\n", "line 2, column 'moving_series': .* is a file"),
        ("fixed,moving\na.nii.gz,b.nii.gz\na.nii.gz,b.nii.gz\n", "line 3, column 'name': .* that of line 2 too"),
        ("fixed,moving,name\na.nii.gz,b.nii.gz,../x\n", "line 2, column 'name': .* no plain name"),
        ("fixed,moving,name\na.nii.gz,b.nii.gz,Index.html\n", "line 2, column 'name': .* name of another output"),
        ("fixed,moving,name\na.nii.gz,b.nii.gz,X\nb.nii.gz,a.nii.gz,x\n", "line 3, column 'name': .* line 2 too"),
        (f"fixed,moving,name\na.nii.gz,b.nii.gz,{'x' * 201}\n", "line 2, column 'name': .* longer than 200 bytes"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_by_line_and_column(place: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        read_pairs(written(place, text))
    assert str(place / "pairs.csv") in str(refused.value)


def test_two_scans_of_one_name_get_folders_of_their_own(place: Path) -> None:
    text = "fixed,moving\na.nii.gz,one/ct.nii.gz\na.nii.gz,two/ct.nii.gz\n"
    assert [pair.name for pair in read_pairs(written(place, text))] == ["a__one_ct", "a__two_ct"]


def test_names_that_no_folder_tells_apart_are_refused_with_both(tmp_path: Path) -> None:
    first, second = tmp_path / "ct.nii.gz", tmp_path / "ct.mha"
    with pytest.raises(UsageError, match=re.escape(f"{first} and {second}: have one name")):
        scan_names([first, second])


def test_pairs_whose_names_run_together_are_refused_with_all_four(tmp_path: Path) -> None:
    names = ("a", "b__c", "a__b", "c")
    paths = [tmp_path / f"{name}.nii.gz" for name in names]
    with pytest.raises(UsageError, match=r"would be written to a__b__c, as .*b__c.nii.gz on .*a.nii.gz is"):
        pairs_of_all(paths)


def test_a_reference_is_not_registered_with_itself(place: Path) -> None:
    pairs = choose_pairs(None, place / "a.nii.gz", place, None)
    assert {pair.fixed.path.name for pair in pairs} == {"a.nii.gz"}
    assert {pair.name for pair in pairs} == {
        "a__b", "a__one_ct", "a__two_ct", "a__more_lungs", f"a__{place.name}_lungs"
    }  # fmt: skip
    with pytest.raises(UsageError, match="is the only scan"):
        pairs_to_reference(pairs[0].fixed, [place / "a.nii.gz"])


def test_all_with_all_goes_both_ways(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.nii.gz" for name in "abc"]
    assert {pair.name for pair in pairs_of_all(paths)} == {"a__b", "a__c", "b__a", "b__c", "c__a", "c__b"}
    with pytest.raises(UsageError, match="1 scan"):
        pairs_of_all(paths[:1])


@pytest.mark.parametrize(
    ("ways", "error", "words"),
    [
        ((None, None, None, None), UsageError, "0 ways"),
        (("t.csv", None, None, "d"), UsageError, "2 ways"),
        ((None, "a.nii.gz", None, None), UsageError, "--reference without --data"),
        ((None, None, "d", None), UsageError, "--data without --reference"),
        ((None, "missing.nii.gz", "d", None), FileError, r"missing\.nii\.gz: does not exist"),
        (("missing.csv", None, None, None), FileError, r"missing\.csv: cannot be read"),
        ((None, None, None, "missing"), FileError, "missing: does not exist"),
    ],
)
def test_exactly_one_way_says_which_pairs(
    ways: tuple[str | None, ...], error: type[SameregError], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        choose_pairs(*(None if way is None else tmp_path / way for way in ways))
