"""Outputs appear whole or not at all."""

from pathlib import Path

import pytest

from samereg.errors import FileError, UsageError
from samereg.io.atomic import atomic_directory, atomic_file


class StopError(Exception):
    """Something goes wrong while writing."""


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == tmp_path
        assert temporary.name.endswith("scan.nii.gz")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_text("old")
    with pytest.raises(StopError):
        write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made_and_taken_back_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "scan.nii"
    with pytest.raises(StopError), atomic_file(path):
        raise StopError
    assert list(tmp_path.iterdir()) == []
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"scan\.nii: cannot be written"), atomic_file(tmp_path / "file" / "scan.nii"):
        pass


def test_nothing_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written"), atomic_file(tmp_path / "scan.nii"):
        pass


def test_a_directory_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out"
    with atomic_directory(path) as temporary:
        (temporary / "a.txt").write_text("a")
        assert not path.exists()
    assert (path / "a.txt").read_text() == "a"
    assert [p.name for p in path.parent.iterdir()] == ["out"]


def test_a_failed_directory_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        write_half_a_folder(tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_directory(tmp_path / "out") as temporary:
        (temporary / "a.txt").write_text("a")
    assert (tmp_path / "out" / "a.txt").exists()


def test_a_full_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(UsageError, match="not empty"), atomic_directory(tmp_path):
        pytest.fail("the block ran")
    with pytest.raises(UsageError, match="is a file"), atomic_directory(tmp_path / "precious"):
        pytest.fail("the block ran")


def test_overwriting_replaces_what_is_made_anew_and_spares_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    for name in ("precious", "a.txt", "deep/b.txt", "deep/precious"):
        (out / name).write_text("old")
    with atomic_directory(out, overwrite=True) as temporary:
        (temporary / "deep").mkdir()
        for name in ("a.txt", "deep/b.txt"):
            (temporary / name).write_text("new")
    texts = {name: (out / name).read_text() for name in ("precious", "a.txt", "deep/b.txt", "deep/precious")}
    assert texts == {"precious": "old", "a.txt": "new", "deep/b.txt": "new", "deep/precious": "old"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def write_half(path: Path) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        raise StopError


def write_half_a_folder(path: Path) -> None:
    with atomic_directory(path) as temporary:
        (temporary / "a.txt").write_text("a")
        raise StopError
