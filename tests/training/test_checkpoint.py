"""Checkpoints that cannot be gone on from are said to be so, with what to do."""

import pytest
import torch
from safetensors.torch import save_file

from samereg.errors import FileError
from samereg.io.tensors import write_tensors
from samereg.training.checkpoint import FILE_NAME, Checkpoint, read_checkpoint, write_checkpoint


def test_a_checkpoint_comes_back(tmp_path):
    write_checkpoint(Checkpoint(step=3, settings={"rate": 0.5}, tensors={"a": torch.arange(4.0)}), tmp_path)
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.settings) == (3, {"rate": 0.5})
    assert torch.equal(found.tensors["a"], torch.arange(4.0))


def test_a_damaged_checkpoint_is_refused_with_what_to_do(tmp_path):
    write_checkpoint(Checkpoint(step=3, settings={}, tensors={"a": torch.arange(4.0)}), tmp_path)
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileError, match=rf"^{path}: .*Remove it to restart the training\.$"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "header", [{}, {"step": "3"}, {"step": "three", "settings": "{}"}, {"step": "3", "settings": "{"}]
)
def test_a_file_of_another_origin_is_no_checkpoint(header, tmp_path):
    write_tensors({"a": torch.arange(4.0)}, tmp_path / FILE_NAME, header=header)
    with pytest.raises(FileError, match="is not a checkpoint of a training; remove it"):
        read_checkpoint(tmp_path)


def test_a_file_of_another_program_is_no_checkpoint(tmp_path):
    save_file({"a": torch.arange(4.0)}, tmp_path / FILE_NAME)
    with pytest.raises(FileError, match=r"no checksum\. Remove it to restart the training\.$"):
        read_checkpoint(tmp_path)
