"""Points and tables as text."""

from pathlib import Path

import pytest

from samereg.errors import FileError, InputError
from samereg.io.points import read_points_csv, write_table_csv


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "points.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_may_stand_in_any_order_with_others_among_them(tmp_path: Path) -> None:
    points, others = read_points_csv(written(tmp_path, "name,z,y,x,note\ncarina, 3,2,1.5,a\napex,-6,5e0,4,\n"))
    assert points.tolist() == [[1.5, 2.0, 3.0], [4.0, 5.0, -6.0]]
    assert others == {"name": ("carina", "apex"), "note": ("a", "")}


def test_spreadsheet_marks_and_empty_lines_are_no_points(tmp_path: Path) -> None:
    points, others = read_points_csv(written(tmp_path, "\ufeffx,y,z\r\n1,2,3\r\n\r\n,,\r\n"))
    assert points.tolist() == [[1.0, 2.0, 3.0]]
    assert others == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "begins with 'nothing'; need a header"),
        ("1,2,3\n4,5,6\n", "begins with '1,2,3'; need a header"),
        ("x,y,z\n", "holds no points"),
        ("x,y,z\n1,2,3\n1,two,3\n", "line 3 holds 'two'"),
        ("x,y,z\n1,nan,3\n", "line 2 holds 'nan'"),
        ("x,y,z\n1,2\n", "line 2 has 2 columns; need 3"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=rf"points\.csv: {sentence}"):
        read_points_csv(written(tmp_path, text))


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read: No such file"):
        read_points_csv(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x01")
    with pytest.raises(FileError, match="is not text"):
        read_points_csv(tmp_path / "binary.csv")


def test_a_table_is_read_back(tmp_path: Path) -> None:
    write_table_csv(("name", "x", "y", "z"), [["a,b", 1.25, 2, "3"]], tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == 'name,x,y,z\n"a,b",1.25,2,3\n'
    points, others = read_points_csv(tmp_path / "table.csv")
    assert points.tolist() == [[1.25, 2.0, 3.0]]
    assert others == {"name": ("a,b",)}


TABLE = 'x,y,z,naïve note\n1.5,2,3,Größe\n-4,5,6.25,"two\nlines"\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_tables_of_every_spreadsheet_are_read_alike(encoding: str, separator: str, ending: str, tmp_path: Path) -> None:
    text = TABLE.replace(",", separator).replace(".", "." if separator == "," else ",").replace("\n", ending)
    (tmp_path / "p.csv").write_bytes(text.encode(encoding))
    points_mm, columns = read_points_csv(tmp_path / "p.csv")
    assert points_mm.tolist() == [[1.5, 2.0, 3.0], [-4.0, 5.0, 6.25]]
    assert columns == {"naïve note": ("Größe", f"two{ending}lines")}


def test_columns_of_one_name_are_kept(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("note,x,y,z,note,,\na,1,2,3,b,c,d\n")
    _, columns = read_points_csv(tmp_path / "p.csv")
    assert columns == {"note": ("a",), "note_2": ("b",), "": ("c",), "_2": ("d",)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,x,y,z\n1,2,3,4\n", "2 columns named x"),
        ("x,y,z\n", "holds no points"),
        ("x,y,z\n1,2,3\n4,5\n", "line 3 has 2 columns"),
        ('x,y,z\n1,2,3\n4,5,"6\n', "quotes closed"),
        ("x,y,z\n1_000,2,3\n", "holds '1_000'"),
        ('x,y,z\n"1,234",2,3\n', "holds '1,234'"),
        ("x,y,z\n1,nan,3\n", "holds 'nan'"),
    ],
)
def test_what_a_table_cannot_mean_is_refused_by_name(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_points_csv(tmp_path / "p.csv")
