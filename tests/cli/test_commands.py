"""What each command passes on, prints and returns, with the work itself replaced."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from samereg.app import demo, embedding_training, phantoms, point_matching, registration, resampling
from samereg.app.demo import DemoRecord
from samereg.app.embedding_training import TrainedEmbedding
from samereg.app.point_matching import BEST_COLUMNS, FoundPoints
from samereg.app.record import InputRecord, MachineRecord, RunRecord, versions
from samereg.app.resampling import AppliedRecord, ApplySettings
from samereg.app.settings import MachineSettings, RegisterSettings, TrainingMachineSettings
from samereg.app.verdict import Finding, Verdict
from samereg.cli.main import main
from samereg.cli.train_embedding import TrainEmbedding
from samereg.estimate.outcome import Outcome
from samereg.geometry.volume import Volume
from samereg.io.images import write_volume
from samereg.matching.embed import EmbedderRecord
from samereg.pipeline.quality import Quality
from samereg.pipeline.query import Answers
from samereg.pipeline.register import StageReport
from samereg.report import page
from samereg.report.sources import ReportPaths
from samereg.training.settings import EmbeddingTraining

SCAN = InputRecord(path=Path("scan.nii"), sha256="0" * 64, shape=(1, 2, 3), spacing_mm=(1.0, 1.0, 1.0), series=None)


class Recorder:
    """Stands for a function of app: keeps what it was called with, returns what it was given."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.arguments: tuple[object, ...] = ()
        self.settings: dict[str, object] = {}

    def __call__(self, *arguments: object, **settings: object) -> object:
        self.arguments, self.settings = arguments, settings
        return self.answer


def run_record(faults: tuple[str, ...] = ()) -> RunRecord:
    outcome = Outcome(converged=True, message="done", iterations=1)
    return RunRecord(
        versions=versions(),
        machine=MachineRecord(device="cpu", name="a processor", threads=2),
        embedding=EmbedderRecord(name="compact", checksum="0" * 64, network="compact", precision="bfloat16"),
        deform=None,
        settings=RegisterSettings(),
        recipe=(),
        fixed=SCAN,
        moving=SCAN,
        stages=(StageReport(name="affine", seconds=1.0, outcome=outcome, matches=500, used=321),),
        quality=Quality(
            match_count=321,
            kept_fraction=0.8,
            match_error_mm=1.0,
            similarity=0.8,
            inverse_consistency_mm=0.1,
            folded_fraction=0.0,
            jacobian_std=0.2,
            overlap_fraction=0.97,
        ),
        verdict=Verdict(level="failed" if faults else "good", headline="", findings=()),
        faults=faults,
        seconds=4.5,
        exit_status=10 if faults else 0,
    )


def found(faults: tuple[str, ...] = ()) -> SimpleNamespace:
    """What `register_files` returns, as far as the command looks at it."""
    return SimpleNamespace(record=run_record(faults))


def test_register_passes_every_flag_on(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(found())
    monkeypatch.setattr(registration, "register_files", recorder)
    words = "register -f a.nii -m b.nii -o out --preset affine --filter threshold --affine-model rigid"
    words += " --init theirs.mat --init-format greedy --fixed-landmarks f.csv --moving-landmarks m.csv"
    words += " --fixed-mask f.nii --moving-mask m.nii --ignore-labels 3 5"
    words += " --filler linear --embedding mine.safetensors --deform bent.safetensors --series 1.2 1.3 --overwrite"
    words += " --device cpu --threads 3 --seed 9 -q"
    assert main(words.split()) == 0
    assert recorder.arguments == (Path("a.nii"), Path("b.nii"), Path("out"))
    assert recorder.settings["overwrite"] is True
    assert recorder.settings["settings"] == RegisterSettings(
        preset="affine",
        filter="threshold",
        affine_model="rigid",
        init=Path("theirs.mat"),
        init_format="greedy",
        fixed_landmarks=Path("f.csv"),
        moving_landmarks=Path("m.csv"),
        fixed_mask=Path("f.nii"),
        moving_mask=Path("m.nii"),
        ignore_labels=(3, 5),
        filler="linear",
        embedding="mine.safetensors",
        deform="bent.safetensors",
        series=("1.2", "1.3"),
        machine=MachineSettings(device="cpu", threads=3),
        seed=9,
    )


def test_register_defaults_are_those_of_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(found())
    monkeypatch.setattr(registration, "register_files", recorder)
    main(["register", "-f", "a.nii", "-m", "b.nii", "-o", "out"])
    assert recorder.settings["settings"] == RegisterSettings()
    assert recorder.settings["overwrite"] is False


def test_register_prints_a_summary(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(registration, "register_files", Recorder(found()))
    assert main(["register", "-f", "a.nii", "-m", "b.nii", "-o", "out"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    for words in ("321", "97 %", "0.100 mm", "cpu, bfloat16", "affine 1.0 s, all 4.5 s", "out: moved.nii.gz"):
        assert words in captured.out


def test_json_is_the_run_record(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(registration, "register_files", Recorder(found()))
    main(["register", "-f", "a.nii", "-m", "b.nii", "-o", "out", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["quality"]["match_count"] == 321
    assert record["limits"]["folded_fraction"] == {"doubtful": 0.001, "failed": 0.05}


def test_a_failed_quality_check_ends_with_10_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registration, "register_files", Recorder(found(("it folds",))))
    assert main(["register", "-f", "a.nii", "-m", "b.nii", "-o", "out"]) == 10
    assert capsys.readouterr().err == "samereg: error: The result failed a quality check: it folds.\n"


def report_record() -> page.ReportRecord:
    finding = Finding(name="Overlap", value="40 %", bounds="", level="doubtful", meaning="")
    verdict = Verdict(level="doubtful", headline="Look closely.", findings=(finding,))
    return page.ReportRecord(output=Path("out/report.html"), size_bytes=5_200_000, verdict=verdict)


def test_register_writes_a_report_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registered = found()
    monkeypatch.setattr(registration, "register_files", Recorder(registered))
    recorder = Recorder(report_record())
    monkeypatch.setattr(page, "write_report", recorder)
    assert main(["register", "-f", "a.nii", "-m", "b.nii", "-o", "out"]) == 0
    assert recorder.arguments == ()
    assert main(["register", "-f", "a.nii", "-m", "b.nii", "-o", "out", "--report", "--overwrite"]) == 0
    assert (recorder.arguments, recorder.settings) == ((Path("out"),), {"found": registered, "overwrite": True})
    assert "doubtful: Look closely.\n  written  out/report.html" in capsys.readouterr().out


def test_report_passes_its_files_on_and_prints_the_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder(report_record())
    monkeypatch.setattr(page, "write_report", recorder)
    words = "report out -f a.nii -m b.nii --fixed-labels c.nii --moving-labels d.nii --label-names e.csv --overwrite"
    assert main(words.split()) == 0
    paths = ReportPaths(
        fixed=Path("a.nii"),
        moving=Path("b.nii"),
        fixed_labels=Path("c.nii"),
        moving_labels=Path("d.nii"),
        label_names=Path("e.csv"),
    )
    assert recorder.arguments == (Path("out"),)
    assert recorder.settings == {"output": None, "paths": paths, "overwrite": True}
    out = capsys.readouterr().out
    for part in ("doubtful: Look closely.", "40 % (doubtful)", "out/report.html (5.2 MB)"):
        assert part in out


def test_apply_names_lost_labels_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = AppliedRecord(
        transform=Path("t.h5"),
        input=SCAN,
        reference=SCAN,
        output=Path("o.nii"),
        interpolation="nearest",
        background=0.0,
        lost_labels=(4, 7),
    )
    recorder = Recorder((record,))
    monkeypatch.setattr(resampling, "apply_files", recorder)
    assert (
        main(
            [
                "apply",
                "-t",
                "t.h5",
                "-i",
                "labels.nii",
                "-r",
                "ref.nii",
                "-o",
                "o.nii",
                "--interpolation",
                "nearest",
            ]
        )
        == 0
    )
    captured = capsys.readouterr()
    assert "4, 7" in captured.err
    assert "nearest" in captured.out
    assert recorder.arguments == (Path("t.h5"), (Path("labels.nii"),), Path("o.nii"))
    assert recorder.settings == {
        "settings": ApplySettings(reference=Path("ref.nii"), interpolation="nearest"),
        "overwrite": False,
    }


def found_points() -> FoundPoints:
    point_mm = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    answers = Answers(
        fixed_mm=point_mm,
        candidates_mm=torch.stack([point_mm + 10, point_mm - 50], dim=1),
        similarity=torch.tensor([[0.75, 0.5]]),
        cycle_mm=torch.tensor([2.5]),
        expected_mm=torch.tensor([4.0]),
        beyond_mm=torch.full((1, 2), -20.0),
        outside=torch.tensor([False]),
    )
    return FoundPoints(columns={"name": ("carina",)}, answers=answers)


def test_match_prints_a_table_or_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(point_matching, "match_files", Recorder(found_points()))
    words = ["match", "-f", "a.nii", "-m", "b.nii", "--points", "points.csv"]
    assert main(words) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["x", "y", "z", "name", *BEST_COLUMNS]
    assert row.split()[3:] == ["carina", "11.000", "12.000", "13.000", "0.7500", "2.50", "0.2500", "4.0", "no"]
    assert main([*words, "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["name"], record["moving_z"], record["similarity"]) == ("carina", 13.0, 0.75)


def test_training_passes_its_settings_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder(TrainedEmbedding(weights=Path("run/embedding.safetensors"), scans=4, steps=50))
    monkeypatch.setattr(embedding_training, "train_from_files", recorder)
    words = "train embedding --data scans -o run --steps 50 --network resnet18 --seed 3 --device cpu --gpus 2"
    assert main(words.split()) == 0
    assert recorder.arguments == (Path("scans"), Path("run"))
    assert recorder.settings["settings"] == EmbeddingTraining(network="resnet18", steps=50, seed=3)
    assert recorder.settings["machine"] == TrainingMachineSettings(device="cpu", gpus=2)
    assert "run/embedding.safetensors" in capsys.readouterr().out


def test_training_defaults_are_those_of_its_settings() -> None:
    command = TrainEmbedding(data=Path("scans"), output=Path("run"))
    assert (command.network, command.steps) == (EmbeddingTraining().network, EmbeddingTraining().steps)


def test_phantom_passes_its_settings_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder((Path("labels.csv"),))
    monkeypatch.setattr(phantoms, "write_phantoms", recorder)
    words = "phantom -o dir --subjects 2 --seed 5 --spacing 4 3 2 --shape 10 20 30 --json"
    assert main(words.split()) == 0
    assert recorder.settings["settings"] == phantoms.PhantomSettings(
        subjects=2, seed=5, spacing_mm=(4.0, 3.0, 2.0), shape=(10, 20, 30)
    )
    assert json.loads(capsys.readouterr().out) == {"output": "dir", "files": ["labels.csv"]}


def test_demo_prints_the_overlap_before_and_after(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder(DemoRecord(dice_before=30.0, dice_after=71.5, organs=35, files=(), registration=run_record()))
    monkeypatch.setattr(demo, "run_demo", recorder)
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert recorder.arguments == (Path("samereg-demo"),)
    for words in ("30.0 % over 35 organs", "71.5 %", "samereg-demo/registration/moved.nii.gz"):
        assert words in out


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["apply", "-i", "CT", "-r", "CT", "-o", "OUT"], "--transform-format FORMAT"),
        (["points", "-p", "P", "--from", "fixed", "--to", "moving", "-o", "P2"], "--transform-format FORMAT"),
        (["jacobian", "-r", "CT", "-o", "OUT"], "--transform-format FORMAT"),
        (["inspect"], "--from FORMAT"),
        (["convert", "-o", "out.h5"], "--from FORMAT"),
        (["invert", "-o", "out.h5"], "--from FORMAT"),
    ],
)
def test_each_command_names_its_own_flag_for_a_format_that_is_not_told(
    words: list[str], flag: str, small_ct: Volume, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    matrix, ct, points = tmp_path / "m.txt", tmp_path / "ct.nii.gz", tmp_path / "p.csv"
    matrix.write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    points.write_text("x,y,z\n0,0,0\n")
    write_volume(small_ct, ct)
    names = {
        "CT": ct,
        "OUT": tmp_path / "o.nii.gz",
        "P": points,
        "P2": tmp_path / "p2.csv",
        "out.h5": tmp_path / "out.h5",
    }
    typed = [str(names.get(word, word)) for word in words]
    assert main([typed[0], "-t", str(matrix), *typed[1:]]) == 2
    assert f"give {flag}." in capsys.readouterr().err
    named = flag.split(maxsplit=1)[0]
    assert main([typed[0], "-t", str(matrix), *typed[1:], named, "greedy"]) == 0
