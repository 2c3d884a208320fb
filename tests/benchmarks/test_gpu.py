import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from samereg.app.record import describe_device
from samereg.geometry.volume import Volume
from samereg.io.images import write_volume


def test_a_computer_without_a_gpu_is_told_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("this computer has an NVIDIA GPU")
    with pytest.raises(SystemExit, match=r"this computer has 0 NVIDIA GPUs"):
        gpu.main([])


def test_one_scan_alone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--fixed", "scan.nii.gz"])
    assert "need both --fixed and --moving" in capsys.readouterr().err


@pytest.mark.slow
def test_times_of_a_pair_are_printed(small_ct: Volume, tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    write_volume(small_ct, path)
    pair = ["--fixed", str(path), "--moving", str(path)]
    words = [*pair, "--device", "cpu", "--repeats", "1", "--presets", "fast"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *words], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith(describe_device(torch.device("cpu")))
    assert lines[1].startswith("fast: scans in memory to transform")
    assert [word.split()[0] for word in lines[2].removeprefix("    stages ").split(", ")] == [
        "prepare",
        "affine",
        "coarse",
        "inverse",
    ]
    assert "files to files" in lines[4]
