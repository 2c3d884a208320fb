"""The number format follows what the device multiplies in hardware."""

import pytest
import torch

from samereg.nets.precision import cpu_multiplies_bfloat16, fastest_dtype, training_dtype

CPU = torch.device("cpu")


@pytest.fixture
def _capable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True, "avx512_bf16": True})
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)


@pytest.mark.usefixtures("_capable")
def test_a_cpu_that_multiplies_bfloat16_uses_it() -> None:
    assert cpu_multiplies_bfloat16()
    assert fastest_dtype(CPU) == training_dtype(CPU) == torch.bfloat16


def test_a_cpu_without_bfloat16_never_emulates_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert fastest_dtype(CPU) == training_dtype(CPU) == torch.float32


@pytest.mark.usefixtures("_capable")
@pytest.mark.parametrize("isa", ["AVX2", "avx512_core", "AVX512_CORE_VNNI"])
def test_an_instruction_set_that_onednn_may_not_use_does_not_count(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
    assert training_dtype(CPU) == torch.float32


@pytest.mark.parametrize("device", ["cuda"])
def test_gradients_on_a_gpu_keep_the_range_of_single_precision(device: str) -> None:
    assert training_dtype(torch.device(device)) == torch.bfloat16
    assert fastest_dtype(torch.device(device)) == torch.float16
