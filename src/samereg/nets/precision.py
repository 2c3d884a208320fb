"""Which number format the networks run fastest in on a device, without leaving what the tests allow."""

import torch


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Half precision on CUDA, bfloat16 on CPUs that multiply it in hardware, single precision elsewhere."""
    if device.type == "cuda":
        return torch.float16
    if device.type == "cpu" and cpu_multiplies_bfloat16():
        return torch.bfloat16
    return torch.float32


def cpu_multiplies_bfloat16() -> bool:
    """Whether this CPU has AMX or AVX512-BF16."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
