"""An affine start by path, and a registration that starts from another tool's transform."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest
import torch

from known_session import prepared_without_networks, use_known_session
from laws import rotation
from samereg.app import starting
from samereg.app.settings import AffineSettings
from samereg.app.starting import find_start
from samereg.cli.main import main
from samereg.errors import UsageError
from samereg.estimate.outcome import Outcome
from samereg.geometry.affine import Affine
from samereg.geometry.grid import axis_aligned_grid
from samereg.geometry.volume import Volume
from samereg.io.images import write_volume
from samereg.io.transform_files import read_transform_file
from samereg.io.transform_formats.spaces import Spaces
from samereg.matching.embed import load_embedder
from samereg.matching.matches import no_matches
from samereg.pipeline import register as registering
from samereg.pipeline.pair import Pair
from samereg.pipeline.quality import Quality
from samereg.pipeline.register import Registration
from samereg.pipeline.stage import StageResult

TURN = Affine.from_parts(rotation((0.2, 1.0, -0.4), 6.0) * 0.97, torch.tensor([4.0, -9.0, 5.0], dtype=torch.float64))
GOOD = Quality(
    match_count=400,
    kept_fraction=0.8,
    match_error_mm=1.0,
    similarity=0.8,
    inverse_consistency_mm=0.0,
    folded_fraction=0.0,
    jacobian_std=0.2,
    overlap_fraction=0.9,
)
NOWHERE = Spaces()


@pytest.fixture
def pair(small_ct: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    answer = Registration(transform=TURN, inverse=TURN.inverse(), matches=no_matches(), stages=(), quality=GOOD)
    use_known_session(monkeypatch, lambda: answer)
    for name in ("fixed scan.nii.gz", "moving.nii.gz"):
        write_volume(small_ct, tmp_path / name)
    return tmp_path / "fixed scan.nii.gz", tmp_path / "moving.nii.gz"


def test_a_start_is_one_file_for_each_tool(pair: tuple[Path, Path], tmp_path: Path) -> None:
    record = find_start(*pair, tmp_path / "init.tfm", settings=AffineSettings())
    assert {start.file.name for start in record.starts} == {
        "init.tfm",
        "init_ants.mat",
        "init_elastix.txt",
        "init_greedy.mat",
        "init_niftyreg.txt",
    }
    formats = {"init_greedy.mat": "greedy", "init_niftyreg.txt": "niftyreg"}
    for start in record.starts:
        found = read_transform_file(start.file, format=formats.get(start.file.name), spaces=NOWHERE)
        torch.testing.assert_close(found.matrix, TURN.matrix)
        assert str(start.file) in start.command
    assert "'" + str(pair[0]) + "'" in record.starts[3].command
    with pytest.raises(UsageError, match=r"init\.tfm: already exists"):
        find_start(*pair, tmp_path / "init.tfm", settings=AffineSettings())


@pytest.mark.parametrize(
    "name",
    ['it\'s a "scan"', "a; touch $HOME `b` $(c)", "C:\\data\\new folder", "-o", "é ü 肺", "a,b [2] {c} *?", "#x\ty"],
)
def test_every_printed_command_is_one_command_with_the_very_paths(
    pair: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    fixed, moving = (path.rename(folder / path.name) for path in pair)
    record = find_start(fixed, moving, folder / "init.tfm", settings=AffineSettings())
    for start in record.starts[1:]:
        words = shlex.split(start.command)
        assert str(start.file) in words
        assert sum(str(fixed) in word and str(moving) in word for word in words) == 1 or {
            str(fixed),
            str(moving),
        } < set(words)
        assert "\n" not in start.command
        shell = ["bash", "-c", start.command.replace(words[0], "printf '%s\\0'", 1)]
        assert subprocess.run(["bash", "-n", "-c", start.command], check=False).returncode == 0
        found = subprocess.run(shell, check=True, capture_output=True, cwd=tmp_path).stdout.decode().split("\0")[:-1]
        assert found == words[1:]


def test_a_path_that_begins_with_a_dash_is_no_flag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    grid = axis_aligned_grid((4, 4, 4))
    scans = Path("-fixed.nii.gz"), Path("-moving.nii.gz")
    for start in starting.write_starts(TURN, Path("-init.tfm"), scans=scans, grids=(grid, grid))[1:]:
        assert f"./{start.file}" in shlex.split(start.command)


def test_the_command_prints_the_commands(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["affine", "-f", str(pair[0]), "-m", str(pair[1]), "-o", str(tmp_path / "init.tfm")]
    assert main(words) == 0
    out = capsys.readouterr().out
    for flag in ("antsRegistration -d 3 -r ", "-t0 ", "-ia ", "-inaff "):
        assert flag in out
    assert main([*words, "--overwrite", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["starts"]) == 5


def test_the_first_stage_begins_with_the_start(small_ct: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    begun_with = []

    class Watching:
        name = "watching"

        def run(self, pair: Pair, before: StageResult) -> StageResult:  # noqa: ARG002
            begun_with.append(before.transform)
            outcome = Outcome(converged=True, message="done", iterations=1)
            return StageResult(transform=before.transform, matches=None, outcome=outcome)

    monkeypatch.setattr(registering, "prepare_scan", prepared_without_networks)
    monkeypatch.setattr(registering, "measure", lambda *_args: GOOD)
    embedder = load_embedder("compact", device="cpu")
    result = registering.register(small_ct, small_ct, stages=(Watching(),), embedder=embedder, start=TURN)
    assert begun_with == [TURN]
    assert torch.equal(result.transform.matrix, TURN.matrix)
