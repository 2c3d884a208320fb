"""What every command does with an output that it cannot write: it says so before it reads or computes anything."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from laws import smooth_displacement
from samereg.app.run_folder import RUN_FILES
from samereg.cli.main import main
from samereg.cli.streams import clean_termination
from samereg.geometry.affine import Affine
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.volume import Volume
from samereg.io.atomic import claimed_directory, claimed_file
from samereg.io.images import write_volume
from samereg.io.transforms import read_transform, write_transform

PAIR = ("-f", "absent.nii", "-m", "absent.nii")
IN_FOLDERS = {
    "register": ("register", *PAIR),
    "phantom": ("phantom",),
    "demo": ("demo",),
    "bench": ("bench", "--small"),
    "train embedding": ("train", "embedding", "--data", "absent", "--device", "cpu"),
    "train deform": ("train", "deform", "--data", "absent", "--device", "cpu"),
}
IN_FILES = {
    "affine": ("affine", *PAIR),
    "apply": ("apply", "-t", "absent.h5", "-i", "absent.nii"),
    "points": ("points", "-t", "absent.h5", "-p", "absent.csv", "--from", "fixed", "--to", "moving"),
    "jacobian": ("jacobian", "-t", "absent.h5", "-r", "absent.nii"),
    "invert": ("invert", "-t", "absent.h5"),
    "compose": ("compose", "--first", "absent.h5", "--then", "absent.h5"),
    "convert": ("convert", "-t", "absent.h5"),
    "report": ("report", "absent"),
    "match": ("match", *PAIR, "--points", "absent.csv"),
    "evaluate": ("evaluate", "--dataset", "absent", "--results", "absent"),
}
WORDS = {**IN_FOLDERS, **IN_FILES}
GRID = axis_aligned_grid((12, 14, 16), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0))
LATIN = os.fsdecode(b"\xfcml\xe4ut")
"""A name in Latin-1, as old archives have it."""


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize(
    "output", ["/proc/out.h5", "file/out.h5", "n" * 300 + ".h5"], ids=["unwritable", "no folder", "long"]
)
def test_an_output_that_cannot_be_written_is_said_first(
    name: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    assert main([*WORDS[name], "-o", output]) == 3
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"samereg: error: {output}")
    assert len(error.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", WORDS)
def test_an_output_that_another_run_is_writing_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "bench":
        pytest.skip("several processes may work on one comparison")
    monkeypatch.chdir(tmp_path)
    claim = claimed_directory if name in IN_FOLDERS else claimed_file
    with claim(Path("out.h5")):
        assert main([*WORDS[name], "-o", "out.h5"]) == 2
    assert "out.h5: another run of samereg" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def latin(tmp_path: Path) -> Path:
    """A folder and files in it whose names are Latin-1."""
    folder = tmp_path / LATIN
    folder.mkdir()
    image = Volume(
        data=torch.arange(GRID.shape[0] * 14 * 16.0).reshape(1, *GRID.shape), grid=GRID, stored_dtype="int16"
    )
    for suffix in (".nii.gz", ".mha", ".nrrd"):
        write_volume(image, folder / f"{LATIN}{suffix}")
    write_transform(smooth_displacement(GRID, amplitude_mm=2.0), folder / f"{LATIN}.h5")
    (folder / f"{LATIN}.csv").write_text("x,y,z\n10,10,10\n")
    return folder


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd", ".h5", ".tfm", ".npz", ".txt"])
def test_transforms_go_in_and_out_under_any_name(suffix: str, latin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output, image = (latin / f"{LATIN}{end}" for end in (".h5", f"-2{suffix}", ".nii.gz"))
    to = ["--to", "elastix"] if suffix == ".txt" else []
    words = ["convert", "-t", str(source), "-o", str(output), "-f", str(image), "-m", str(image), *to]
    assert main([*words, "--tolerance", "1"]) == 0, capsys.readouterr().err
    assert output.is_file()
    out, err = capsys.readouterr()
    assert (out.isascii(), err) == (True, "")


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_images_and_points_go_in_and_out_under_any_name(
    suffix: str, latin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transform, image, points = (str(latin / f"{LATIN}{end}") for end in (".h5", suffix, ".csv"))
    output = latin / f"{LATIN}-2{suffix}"
    assert main(["apply", "-t", transform, "-i", image, "-r", image, "-o", str(output), "--json"]) == 0
    assert main(["jacobian", "-t", transform, "-r", image, "-o", str(latin / f"j{suffix}")]) == 0
    words = ["points", "-t", transform, "-p", points, "--from", "fixed", "--to", "moving"]
    assert main([*words, "-o", str(latin / "moved.csv")]) == 0
    assert capsys.readouterr().err == ""
    assert output.is_file()


def test_names_are_printed_whatever_they_are(latin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "-t", str(latin / f"{LATIN}.h5"), "--json"]) == 0
    assert main(["inspect", "-t", str(latin / "absent.h5")]) == 3
    assert r"\udcfcml\udce4ut/absent.h5" in capsys.readouterr().err


def test_overwriting_a_parameter_file_of_elastix_takes_the_old_field_away(tmp_path: Path) -> None:
    write_transform(smooth_displacement(GRID, amplitude_mm=2.0), tmp_path / "bent.h5")
    write_transform(Affine.identity(), tmp_path / "straight.h5")
    words = ["--to", "elastix", "-o", str(tmp_path / "t.txt"), "--overwrite"]
    assert main(["convert", "-t", str(tmp_path / "bent.h5"), *words]) == 0
    assert (tmp_path / "t_field.mha").is_file()
    assert main(["convert", "-t", str(tmp_path / "straight.h5"), *words]) == 0
    assert not (tmp_path / "t_field.mha").exists()


def test_a_report_and_a_confidence_map_are_of_a_registration() -> None:
    assert {"report.html", "confidence.nii.gz", "run.json"} <= set(RUN_FILES)


def program(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "samereg.cli.main", *words]


def test_a_full_volume_leaves_nothing_and_says_so(
    tmp_path: Path, tmpfs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    grid = axis_aligned_grid((30, 30, 30), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    write_transform(smooth_displacement(grid, amplitude_mm=2.0), tmp_path / "t.h5")
    for name in ("t.h5", "t.tfm", "t.nii", "t.nrrd"):
        assert main(["convert", "-t", str(tmp_path / "t.h5"), "-o", str(tmpfs / name)]) == 3
        assert f"{tmpfs / name}: cannot be written" in capfd.readouterr().err
    assert list(tmpfs.iterdir()) == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_cleans_up_as_an_interruption_does(name: str, tmp_path: Path) -> None:
    number = getattr(signal, name)
    code = (
        # Ignored below nohup, and then rightly by samereg, too.
        "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "import sys\nimport samereg.app.registration as r\nfrom samereg.cli.main import main\n"
        "def read(*_, **__):\n    print('at work', flush=True, file=sys.stderr)\n    import time\n    time.sleep(60)\n"
        "r.read_scan = read\nsys.exit(main(sys.argv[1:]))\n"
    )
    words = ["register", "-f", "a.nii", "-m", "b.nii", "-o", str(tmp_path / "new" / "out"), "--device", "cpu"]
    with subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        while run.stderr.readline().strip() != "at work":
            assert run.poll() is None
        run.send_signal(number)
        err = run.stderr.read()
    assert run.returncode == 128 + number
    assert err == f"samereg: terminated by {name}\n"
    assert list(tmp_path.iterdir()) == []


def test_signals_are_as_before_afterwards_and_in_other_threads() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with clean_termination():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["--version"])))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.fixture
def transform(tmp_path: Path) -> Path:
    write_transform(Affine.identity(), tmp_path / "t.h5")
    return tmp_path / "t.h5"


@pytest.mark.parametrize(("redirection", "code"), [(">&-", 3), (">/dev/full", 3), ("| true", 0), ("2>&- >&-", 3)])
def test_a_result_that_cannot_be_printed_stays(redirection: str, code: int, transform: Path) -> None:
    output = transform.with_name("out.tfm")
    words = " ".join(program(["convert", "-t", str(transform), "-o", str(output)]))
    ended = subprocess.run(
        ["bash", "-c", f"{words} {redirection}; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == code, ended.stderr
    assert torch.equal(read_transform(output).apply(torch.ones(1, 3).double()), torch.ones(1, 3).double())
    assert ended.stdout == ""
    if "2>" in redirection or code == 0:
        assert ended.stderr == ""
    else:
        assert ended.stderr.startswith("samereg: error: The result could not be printed: standard output ")
        assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["convert", "--help"]], ids=" ".join)
def test_help_that_cannot_be_printed_is_no_traceback(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(program(words), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 3
    assert len(ended.stderr.splitlines()) == 1


def test_a_name_in_a_locale_of_ascii_alone(tmp_path: Path) -> None:
    folder = tmp_path / "Bäuche"
    folder.mkdir()
    write_transform(Affine.identity(), folder / "t.h5")
    sitk.WriteImage(sitk.Image(12, 12, 12, sitk.sitkInt16), str(folder / "i.mha"))
    words = ["convert", "-t", str(folder / "t.h5"), "-o", str(folder / "ü.mha"), "-f", str(folder / "i.mha")]
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(program(words), env=env, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (folder / "ü.mha").is_file()


def test_little_address_space_is_short_memory(transform: Path) -> None:
    for kilobytes in (400_000, 800_000):
        words = " ".join(program(["inspect", "-t", str(transform)]))
        ended = subprocess.run(
            ["bash", "-c", f"ulimit -v {kilobytes}; {words}"], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 5, ended.stderr
        assert ended.stderr.startswith("samereg: error: Out of memory: ")
        assert len(ended.stderr.splitlines()) == 1
