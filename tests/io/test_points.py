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
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(FileError, match="is not comma-separated text"):
        read_points_csv(tmp_path / "binary.csv")


def test_a_table_is_read_back(tmp_path: Path) -> None:
    write_table_csv(("name", "x", "y", "z"), [["a,b", 1.25, 2, "3"]], tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == 'name,x,y,z\n"a,b",1.25,2,3\n'
    points, others = read_points_csv(tmp_path / "table.csv")
    assert points.tolist() == [[1.25, 2.0, 3.0]]
    assert others == {"name": ("a,b",)}
