"""Detects that this process was forked from one that had loaded torch, without importing torch.

OpenMP's thread pools do not survive a fork: multithreaded work in the child would wait for them forever.
"""

import os
import sys

_PROCESS = {"torch_threads_lost": False}


def torch_threads_lost() -> bool:
    """Whether torch may rely on threads that exist only in the parent process."""
    return _PROCESS["torch_threads_lost"]


def _note() -> None:
    _PROCESS["torch_threads_lost"] = "torch" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note)
