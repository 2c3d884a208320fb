"""Files of tensors: equal contents are equal bytes, and come back as they were."""

from pathlib import Path

import torch

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
