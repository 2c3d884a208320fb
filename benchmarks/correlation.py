"""How long the correlation feature takes, beside the naive form in the same run.

    python benchmarks/correlation.py

The naive form stacks 27 shifted copies of the moving map and sums their products with the fixed one. Prints seconds,
ratios, peak memory beyond the inputs and the largest difference, forward and backward. Stop everything else first.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from samereg.nets.embedding import channels_last
from samereg.nets.precision import fastest_dtype
from samereg.ops.correlate import correlate, displacements

SHAPE = (96, 72, 104)
"""Cells of a 208x144x192 scan."""

CHANNELS = 48
REPEATS = 3


def naive(fixed: Tensor, moving: Tensor) -> Tensor:
    """The definition, with a shifted copy of the moving map for each displacement."""
    padded = functional.pad(moving, (2,) * 6)
    depth, height, width = fixed.shape[2:]
    copies = [padded[:, :, 2 + d :, 2 + h :, 2 + w :][:, :, :depth, :height, :width] for d, h, w in displacements(2, 2)]
    return (fixed[:, None] * torch.stack(copies, 1)).sum(2)


FORMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"samereg": correlate, "naive": naive}


def maps() -> tuple[Tensor, Tensor]:
    """Two random feature maps in the layout and precision of the network."""
    generator = torch.Generator().manual_seed(0)
    dtype = fastest_dtype(torch.device("cpu"))
    first, second = (channels_last(torch.randn(1, CHANNELS, *SHAPE, generator=generator), dtype) for _ in range(2))
    return first, second


def seconds_of(form: str) -> tuple[float, float]:
    """Best forward time, and best time of forward and backward."""
    fixed, moving = (m.requires_grad_() for m in maps())
    forward, both = [], []
    for _ in range(REPEATS):
        began = time.perf_counter()
        found = FORMS[form](fixed, moving)
        forward.append(time.perf_counter() - began)
        found.backward(torch.ones_like(found))
        both.append(time.perf_counter() - began)
    return min(forward), min(both)


def main() -> None:
    """Measure each form in a process of its own, for its memory; compare values here."""
    if len(sys.argv) > 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        forward, both = seconds_of(sys.argv[1])
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(forward, both, (after - before) / 2**20)
        return
    rows = {}
    for form in FORMS:
        done = subprocess.run([sys.executable, __file__, form], check=True, capture_output=True, text=True)
        rows[form] = [float(word) for word in done.stdout.split()]
    print(f"{'':<10}{'forward s':>12}{'with backward s':>18}{'peak GB':>10}")
    for form, (forward, both, peak) in rows.items():
        print(f"{form:<10}{forward:>12.2f}{both:>18.2f}{peak:>10.2f}")
    ratios = [slow / fast for fast, slow in zip(rows["samereg"], rows["naive"], strict=True)]
    print(f"{'ratio':<10}{ratios[0]:>12.1f}{ratios[1]:>18.1f}{ratios[2]:>10.1f}")
    with torch.inference_mode():
        fixed, moving = maps()
        error = float((correlate(fixed, moving).float() - naive(fixed.float(), moving.float())).abs().max())
    print(f"largest difference from single precision: {error:.3f}")


if __name__ == "__main__":
    main()
