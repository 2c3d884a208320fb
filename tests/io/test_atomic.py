"""Outputs appear whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from samereg.errors import FileError, UsageError
from samereg.io.atomic import (
    atomic_directory,
    atomic_file,
    claimed_directory,
    claimed_file,
    contents,
    require_writable,
)


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
        assert contents(path) == []
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


def test_a_folder_that_is_a_mount_point_is_filled(tmpfs: Path) -> None:
    (tmpfs / "lost+found").mkdir()
    with atomic_directory(tmpfs) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "a.txt").write_text("a")
    assert (tmpfs / "deep" / "a.txt").read_text() == "a"
    assert sorted(path.name for path in tmpfs.iterdir()) == ["deep", "lost+found"]


def test_nothing_is_renamed_out_of_the_output_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the folder was a mount point, for those who may not mount."""
    out = tmp_path / "out"
    out.mkdir()
    rename, replace = Path.rename, Path.replace

    def inside(self: Path, target: Path) -> None:
        if out not in self.parents or out not in Path(target).parents:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "rename", lambda self, target: (inside(self, target), rename(self, target))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (inside(self, target), replace(self, target))[1])
    with atomic_directory(out) as temporary:
        (temporary / "a.txt").write_text("a")
    assert (out / "a.txt").read_text() == "a"


def test_a_file_that_is_a_mount_point_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path, __: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    path = tmp_path / "result.json"
    path.write_text("old, and longer than what comes")
    monkeypatch.setattr(Path, "replace", refuse)
    with atomic_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_links_are_written_through(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "old.txt").write_text("old")
    for name, target in {"old": store / "old.txt", "dangling": store / "new.txt", "further": tmp_path / "old"}.items():
        (tmp_path / name).symlink_to(target)
        with atomic_file(tmp_path / name) as temporary:
            temporary.write_text(name)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / name).resolve().read_text() == name
        assert (tmp_path / name).resolve().parent == store


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_to_a_folder_stays_one(tmp_path: Path, exists: bool) -> None:
    if exists:
        (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to("store")
    with atomic_directory(tmp_path / "link") as temporary:
        (temporary / "a.txt").write_text("a")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "store" / "a.txt").read_text() == "a"


def test_a_linked_file_in_the_folder_is_written_through(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "kept.txt").write_text("old")
    (out / "a.txt").symlink_to(tmp_path / "kept.txt")
    with atomic_directory(out, overwrite=True) as temporary:
        (temporary / "a.txt").write_text("new")
    assert (tmp_path / "kept.txt").read_text() == "new"
    assert (out / "a.txt").is_symlink()


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(FileError, match="circle"), atomic_file(tmp_path / "a"):
        pytest.fail("the block ran")


@pytest.mark.parametrize("target", ["/dev/null", "/dev/full"])
def test_a_device_is_never_replaced(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(FileError, match="device"), atomic_file(tmp_path / "link"):
        pytest.fail("the block ran")


def test_the_second_run_into_a_folder_is_refused_before_it_computes(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with atomic_directory(out) as temporary:
        (temporary / "a.txt").write_text("first")
        for overwrite in (False, True):
            with pytest.raises(UsageError, match="another run"), atomic_directory(out, overwrite=overwrite):
                pytest.fail("the block ran")
    assert (out / "a.txt").read_text() == "first"
    assert [path.name for path in out.iterdir()] == ["a.txt"]


def test_of_two_processes_that_make_one_folder_one_is_refused(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom samereg.io.atomic import atomic_directory\n"
        "from samereg.errors import UsageError\n"
        "try:\n"
        "    with atomic_directory(Path(sys.argv[1])) as folder:\n"
        "        (folder / 'who.txt').write_text(sys.argv[2])\n"
        "        time.sleep(0.3)\n"
        "except UsageError:\n    sys.exit(2)\n"
    )
    out = tmp_path / "out"
    runs = [subprocess.Popen([sys.executable, "-c", program, str(out), str(number)]) for number in range(4)]
    codes = [run.wait() for run in runs]
    assert sorted(codes) == [0, 2, 2, 2]
    assert (out / "who.txt").read_text() == str(codes.index(0))
    assert [path.name for path in out.iterdir()] == ["who.txt"]


def test_a_killed_run_blocks_no_other(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from samereg.io.atomic import atomic_directory, claimed_file\n"
        "with atomic_directory(Path(sys.argv[1])) as folder, claimed_file(Path(sys.argv[2])):\n"
        "    (folder / 'a.txt').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    out, file = tmp_path / "out", tmp_path / "t.h5"
    ended = subprocess.run([sys.executable, "-c", program, str(out), str(file)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert list(out.iterdir()) != []
    with atomic_directory(out) as temporary, claimed_file(file):
        (temporary / "a.txt").write_text("whole")
    assert [path.read_text() for path in out.iterdir()] == ["whole"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="appeared"):
        write_beside_another(out)
    assert [path.read_text() for path in out.iterdir()] == ["theirs"]


def test_the_second_run_into_a_file_is_refused_before_it_computes(tmp_path: Path) -> None:
    path = tmp_path / "new" / "t.h5"
    with claimed_file(path), pytest.raises(UsageError, match="another run"), claimed_file(path):
        pytest.fail("the block ran")
    assert list(tmp_path.iterdir()) == []


def test_files_of_an_earlier_run_go_and_foreign_ones_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for names in (("a.txt", "b.txt", "deep/c.txt"), ("a.txt",)):
        with atomic_directory(out, overwrite=True, ours=("a.txt", "b.txt", "deep/*.txt")) as temporary:
            (temporary / "deep").mkdir()
            for name in names:
                (temporary / name).write_text("ours")
        if len(names) > 1:
            (out / "deep" / "notes.md").write_text("theirs")
    left = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert left == ["a.txt", "deep/notes.md"]


def test_a_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 248 + ".nii.gz")
    with claimed_file(path), atomic_file(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"


@pytest.mark.parametrize(
    "path", [Path("/proc/out"), Path("/proc/cpuinfo/out"), Path("n" * 300)], ids=lambda p: str(p)[:9]
)
def test_what_cannot_be_written_is_refused_before_the_work(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for claim in (claimed_file, claimed_directory, atomic_directory):
        with pytest.raises((FileError, UsageError), match=rf"^{path}"), claim(path):
            pytest.fail("the block ran")
    with pytest.raises((FileError, UsageError), match=rf"^{path}"):
        require_writable(path)
    assert list(tmp_path.iterdir()) == []


def test_a_probe_leaves_nothing(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "deep")
    assert list(tmp_path.iterdir()) == []


def write_beside_another(path: Path) -> None:
    with atomic_directory(path) as temporary:
        (temporary / "a.txt").write_text("ours")
        (path / "a.txt").write_text("theirs")
