"""The flags of every command. A flag that changes here changes for users: say so in CHANGELOG.md."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from samereg.cli.main import COMMANDS, Entry, main

SHARED = {"--json", "-q/--quiet", "-v/--verbose"}
MACHINE = {"--device", "--threads", "--seed"}

REGISTRATION = {
    "--preset",
    "--init",
    "--init-format",
    "--fixed-landmarks",
    "--moving-landmarks",
    "--fixed-mask",
    "--moving-mask",
    "--ignore-labels",
    "--filter",
    "--affine-model",
    "--filler",
    "--embedding",
    "--deform",
    "--orientation",
    "--series",
    "--confidence",
    "--dicom",
    "--keep-patient",
}

FLAGS = {
    "register": {
        "-f/--fixed",
        "-m/--moving",
        "-o/--output",
        *REGISTRATION,
        "--report",
        "--overwrite",
        *MACHINE,
        *SHARED,
    },
    "cohort": {
        "-o/--output",
        "--pairs",
        "--reference",
        "--data",
        "--all-to-all",
        *REGISTRATION,
        "--workers",
        "--scheduler",
        "--store-gb",
        "--time-limit",
        "--retry-failed",
        "--report",
        *MACHINE,
        *SHARED,
    },
    "fuse": {
        "--target",
        "--atlases",
        "-o/--output",
        *REGISTRATION,
        "--method",
        "--sharpness",
        "--overwrite",
        *MACHINE,
        *SHARED,
    },
    "follow": {
        "--baseline",
        "--followup",
        "--lesions",
        "--followup-lesions",
        "-o/--output",
        *REGISTRATION,
        "--overwrite",
        *MACHINE,
        *SHARED,
    },
    "affine": {
        "-f/--fixed",
        "-m/--moving",
        "-o/--output",
        "--model",
        "--embedding",
        "--orientation",
        "--series",
        "--overwrite",
        *MACHINE,
        *SHARED,
    },
    "list": {*SHARED},
    "apply": {
        "-t/--transform",
        "-i/--input",
        "-r/--reference",
        "-o/--output",
        "--spacing",
        "--interpolation",
        "--modulate",
        "--transform-format",
        "--to",
        "-m/--moving",
        "--overwrite",
        "--threads",
        *SHARED,
    },
    "points": {
        "-t/--transform",
        "-p/--points",
        "--from",
        "--to",
        "-o/--output",
        "-f/--fixed",
        "-m/--moving",
        "--points-format",
        "--transform-format",
        "--overwrite",
        *SHARED,
    },
    "jacobian": {
        "-t/--transform",
        "-r/--reference",
        "-o/--output",
        "-m/--moving",
        "--log",
        "--transform-format",
        "--overwrite",
        *SHARED,
    },
    "invert": {
        "-t/--transform",
        "-o/--output",
        "--from",
        "--to",
        "-f/--fixed",
        "-m/--moving",
        "--tolerance",
        "--overwrite",
        *SHARED,
    },
    "compose": {
        "--first",
        "--then",
        "-o/--output",
        "--to",
        "-f/--fixed",
        "-m/--moving",
        "--tolerance",
        "--overwrite",
        *SHARED,
    },
    "inspect": {"-t/--transform", "--from", "-f/--fixed", "-m/--moving", *SHARED},
    "convert": {
        "-t/--transform",
        "-o/--output",
        "--from",
        "--to",
        "-f/--fixed",
        "-m/--moving",
        "--tolerance",
        "--overwrite",
        *SHARED,
    },
    "report": {
        "-f/--fixed",
        "-m/--moving",
        "--fixed-labels",
        "--moving-labels",
        "--label-names",
        "-o/--output",
        "--overwrite",
        "--threads",
        *SHARED,
    },
    "view": {
        "-f/--fixed",
        "-m/--moving",
        "-o/--output",
        *REGISTRATION,
        "--host",
        "--port",
        "--no-browser",
        "--overwrite",
        *MACHINE,
        *SHARED,
    },
    "match": {
        "-f/--fixed",
        "-m/--moving",
        "--points",
        "--points-format",
        "--labels",
        "--label",
        "--candidates",
        "-o/--output",
        "--embedding",
        "--orientation",
        "--series",
        "--overwrite",
        *MACHINE,
        *SHARED,
    },
    "train embedding": {
        "--data",
        "-o/--output",
        "--network",
        "--steps",
        "--init",
        "--learning-rate",
        "--gpus",
        *MACHINE,
        *SHARED,
    },
    "train deform": {
        "--data",
        "-o/--output",
        "--validation",
        "--variant",
        "--network",
        "--form",
        "--steps",
        "--pairs",
        "--init",
        "--learning-rate",
        "--alignment",
        "--embedding",
        "--cache",
        "--gpus",
        *MACHINE,
        *SHARED,
    },
    "bench": {
        "-o/--output",
        "--dataset",
        "--methods",
        "--sets",
        "--small",
        "--networks",
        "--workers",
        "--scheduler",
        "--time-limit",
        "--retry-failed",
        "--tables-only",
        "--device",
        "--threads",
        *SHARED,
    },
    "evaluate": {
        "--dataset",
        "--results",
        "--format",
        "--scans",
        "--small",
        "--sets",
        "-o/--output",
        "--learn2reg-compat",
        "--overwrite",
        *SHARED,
    },
    "phantom": {
        "-o/--output",
        "--subjects",
        "--seed",
        "--spacing",
        "--shape",
        "--overwrite",
        "--threads",
        *SHARED,
    },
    "demo": {"-o/--output", "--overwrite", *MACHINE, *SHARED},
}

by_name = pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: " ".join(entry.words))


def test_commands_are_frozen() -> None:
    assert [" ".join(entry.words) for entry in COMMANDS] == list(FLAGS)


@by_name
def test_flags_are_frozen(entry: Entry, capsys: pytest.CaptureFixture[str]) -> None:
    assert flags_of(entry.words, capsys) == FLAGS[" ".join(entry.words)]


@by_name
def test_summary_in_the_list_is_that_of_the_command(entry: Entry) -> None:
    assert (command_class(entry).__doc__ or "").splitlines()[0] == entry.summary


@by_name
def test_command_files_import_no_work_before_they_run(entry: Entry) -> None:
    path = Path(import_module(entry.home[0]).__file__ or "")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
    light = {"samereg.cli.options", "samereg.app.settings"}
    assert not [name for name in imported if name.startswith("samereg.") and name not in light]


def command_class(entry: Entry) -> type:
    found: type = getattr(import_module(entry.home[0]), entry.home[1])
    return found


def flags_of(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> set[str]:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    rows = re.findall(r"^. (?:(-\w)[^,\n]*, )?(--\w[\w-]*)", capsys.readouterr().out, flags=re.MULTILINE)
    return {f"{short}/{long}" if short else long for short, long in rows} - {"-h/--help"}
