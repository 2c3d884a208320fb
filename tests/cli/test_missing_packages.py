"""Commands without the packages of their extras: refused at once, with what to type; all others need none of them."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from samereg.cli.main import main
from samereg.optional import PACKAGES

TRAIN = "python -m pip install 'samereg[train]'"
COMMANDS = (
    (("train", "embedding"), "lightning_fabric", TRAIN),
    (("train", "embedding"), "tensorboard", TRAIN),
    (("train", "deform"), "lightning_fabric", TRAIN),
    (("train", "deform"), "tensorboard", TRAIN),
    (("view", "-f", "a.nii", "-m", "b.nii"), "starlette", "python -m pip install 'samereg[page]'"),
    (("view", "-f", "a.nii", "-m", "b.nii"), "uvicorn", "python -m pip install 'samereg[page]'"),
    (("bench",), "matplotlib", "python -m pip install 'samereg[pictures]'"),
    (("bench", "--scheduler", "tcp://here:1"), "distributed", "python -m pip install 'samereg[cluster]'"),
    (
        ("evaluate", "--dataset", "phantom", "--results", ".", "--learn2reg-compat"),
        "surface_distance",
        "python -m pip install 'samereg[bench]'",
    ),
)

ABSENT = (*PACKAGES, "zarr")
WITHOUT = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT}))
"""
"""Begins a program in which these packages cannot be imported."""

EVERY_HELP = """
from samereg.cli.main import COMMANDS, main
for entry in COMMANDS:
    try:
        main([*entry.words, "--help"])
    except SystemExit as ended:
        assert ended.code == 0, entry.words
"""

EVERY_IMPORT = """
import ast
from importlib import import_module
from pathlib import Path
from samereg.cli.main import COMMANDS
for entry in COMMANDS:
    if entry.words[0] not in ("train", "view"):
        tree = ast.parse(Path(import_module(entry.home[0]).__file__).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for name in node.names:
                    getattr(import_module(node.module), name.name)
"""

REGISTRATION = """
import numpy as np
import nibabel as nib
import samereg
z, y, x = np.ogrid[-16:16, -16:16, -16:16]
body = z**2 + (1.2 * y)**2 + x**2 < 15**2
lungs = (z**2 + y**2 + (abs(x) - 7)**2) < 5**2
hu = np.where(lungs, -850, np.where(body, 40 + 30 * np.sin(z / 3) * np.cos(x / 4), -1000)).astype(np.int16)
image = nib.Nifti1Image(hu, np.diag([4.0, 4.0, 4.0, 1.0]))
pair = samereg.register(image, image, preset="affine", device="cpu")
assert np.abs(pair.transform.apply_to_points([[0.0, 0.0, 0.0]])).max() < 4
"""


@pytest.mark.parametrize(
    "program",
    [EVERY_HELP, EVERY_IMPORT, pytest.param(REGISTRATION, marks=pytest.mark.slow)],
    ids=["help", "imports", "registration"],
)
def test_what_needs_no_extra_runs_without_any(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT + program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def flags_of(words: Sequence[str], folder: Path) -> list[str]:
    data = ["--data", str(folder / "data")] if words[0] == "train" else []
    return [*words, *data, "--output", str(folder / "run")]


@pytest.mark.parametrize(("words", "package", "line"), COMMANDS, ids=str)
def test_a_command_without_its_extra_says_what_to_type_before_it_does_anything(
    words: tuple[str, ...],
    package: str,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for other in PACKAGES:
        # What the command may need besides counts as installed.
        monkeypatch.setitem(sys.modules, other, sys if other != package else None)
    assert main(flags_of(words, tmp_path)) == 2
    captured = capsys.readouterr()
    (sentence,) = captured.err.splitlines()
    assert sentence.startswith("samereg: error: ")
    assert sentence.endswith(f"needs the package {PACKAGES[package][0]}, which is not installed; type: {line}")
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []
