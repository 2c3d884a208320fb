"""Which number format the networks run fastest in on a device, without leaving what the tests allow."""

import os

import torch

WITHOUT_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"}
"""Values of `ONEDNN_MAX_CPU_ISA` that keep oneDNN from the instructions that multiply bfloat16."""


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Format to apply a network in: half precision on CUDA, else as `training_dtype`."""
    return torch.float16 if device.type == "cuda" else training_dtype(device)


def training_dtype(device: torch.device) -> torch.dtype:
    """Format to train a network in: bfloat16 where the device multiplies it in hardware, single precision elsewhere.

    Half precision has too short a range for gradients. A CPU that only emulates bfloat16 is a hundred times slower
    with it than with single precision.
    """
    if device.type == "cuda" or (device.type == "cpu" and cpu_multiplies_bfloat16()):
        return torch.bfloat16
    return torch.float32


def cpu_multiplies_bfloat16() -> bool:
    """Whether this CPU has AMX or AVX512-BF16, and `ONEDNN_MAX_CPU_ISA` lets oneDNN use them."""
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BFLOAT16:
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
