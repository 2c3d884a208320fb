"""Torch's global state: set to samereg's defaults during a computation, and restored afterwards.

Every public function that computes is wrapped in one of these; if nothing differs, the cost is microseconds.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from samereg.forks import torch_threads_lost

ITK_THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
"""Environment variable from which ITK reads its number of threads."""

_CPU = torch.device("cpu")
_AUTOCAST_DEVICES = ("cpu", "cuda")


@contextmanager
def plain_torch() -> Iterator[None]:
    """Context in which torch has its defaults, except for gradient recording and the number of threads.

    Single precision, tensors on the CPU, no autocast, no inference mode, no anomaly detection, the fastest algorithms,
    full-precision matrix products. On a CPU samereg is reproducible without the deterministic algorithms,
    and on a GPU some operations have none. In a process forked from one that used torch, one thread: see
    `samereg.forks`.
    """
    if _is_plain():
        yield
        return
    with ExitStack() as stack:
        _reset_defaults(stack)
        _reset_modes(stack)
        if _may_deadlock():
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        yield


@contextmanager
def own_torch() -> Iterator[None]:
    """Like `plain_torch`, with gradients enabled; threads and random state are restored at the end."""
    with ExitStack() as stack:
        stack.callback(_restore_threads, torch.get_num_threads(), os.environ.get(ITK_THREADS))
        stack.enter_context(plain_torch())
        stack.enter_context(torch.enable_grad())
        gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
        stack.enter_context(torch.random.fork_rng(devices=gpus))
        yield


def _is_plain() -> bool:
    return not (
        torch.get_default_dtype() != torch.float32
        or torch.get_default_device() != _CPU
        or torch.are_deterministic_algorithms_enabled()
        or torch.get_float32_matmul_precision() != "highest"
        or torch.is_inference_mode_enabled()
        or torch.is_anomaly_enabled()
        or any(torch.is_autocast_enabled(kind) for kind in _AUTOCAST_DEVICES)
        or _may_deadlock()
    )


def _may_deadlock() -> bool:
    return torch_threads_lost() and torch.get_num_threads() > 1


def _reset_defaults(stack: ExitStack) -> None:
    dtype = torch.get_default_dtype()
    if dtype != torch.float32:
        stack.callback(torch.set_default_dtype, dtype)
        torch.set_default_dtype(torch.float32)
    if torch.get_default_device() != _CPU:
        stack.enter_context(_CPU)
    if torch.are_deterministic_algorithms_enabled():
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        stack.callback(torch.use_deterministic_algorithms, True, warn_only=warn_only)
        torch.use_deterministic_algorithms(False)
    precision = torch.get_float32_matmul_precision()
    if precision != "highest":
        stack.callback(torch.set_float32_matmul_precision, precision)
        torch.set_float32_matmul_precision("highest")


def _reset_modes(stack: ExitStack) -> None:
    if torch.is_inference_mode_enabled():
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
    if torch.is_anomaly_enabled():
        stack.enter_context(torch.autograd.set_detect_anomaly(False))
    for kind in _AUTOCAST_DEVICES:
        if torch.is_autocast_enabled(kind):
            stack.enter_context(torch.autocast(kind, enabled=False))


def _restore_threads(threads: int, itk_threads: str | None) -> None:
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    if itk_threads is None:
        os.environ.pop(ITK_THREADS, None)
    else:
        os.environ[ITK_THREADS] = itk_threads
