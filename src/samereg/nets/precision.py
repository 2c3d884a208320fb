"""Selection of the fastest floating-point format for networks on a device, within the tested accuracy."""

import os

import torch

WITHOUT_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"}
"""Values of `ONEDNN_MAX_CPU_ISA` that disable oneDNN's bfloat16 instructions."""


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Format for inference: half precision on CUDA, otherwise as `training_dtype`."""
    return torch.float16 if device.type == "cuda" else training_dtype(device)


def training_dtype(device: torch.device) -> torch.dtype:
    """Format for training: bfloat16 if the device multiplies it in hardware, otherwise single precision.

    The range of half precision is too small for gradients. A CPU that emulates bfloat16 is a hundred times slower
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
