"""Files of tensors: equal contents are equal bytes, and come back as they were."""

import subprocess
import sys
import time
from pathlib import Path

import torch

from samereg.io.atomic import PARTIAL
from samereg.io.tensors import read_checked_tensors, write_tensors

HEADER = {f'key {number} é"\\\n': f"value {number} \x1f" for number in range(9)}
TENSORS = {"b": torch.arange(5.0), "a": torch.ones(3, 2, dtype=torch.int64)}


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    # The library draws the order of the header's strings anew for each file.
    for number in range(8):
        write_tensors(TENSORS, tmp_path / f"{number}.safetensors", header=HEADER)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_any_strings_come_back(tmp_path: Path) -> None:
    write_tensors(TENSORS, tmp_path / "t.safetensors", header=HEADER)
    tensors, header = read_checked_tensors(tmp_path / "t.safetensors")
    assert {name: text for name, text in header.items() if name in HEADER} == HEADER
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())


def test_a_kill_while_writing_leaves_unfinished_files_of_samereg_alone(tmp_path: Path) -> None:
    code = (
        "import sys, torch\nfrom pathlib import Path\nfrom samereg.io.tensors import write_tensors\n"
        "print('writing', flush=True)\n"
        "while True:\n    write_tensors({'a': torch.zeros(10**6)}, Path(sys.argv[1]), header={})\n"
    )
    for number in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "t.safetensors")], stdout=subprocess.PIPE
        ) as run:
            assert run.stdout is not None
            run.stdout.readline()
            time.sleep(0.02 + 0.013 * number)
            run.kill()
    others = [path.name for path in tmp_path.iterdir() if not path.name.startswith(PARTIAL)]
    assert set(others) <= {"t.safetensors"}
