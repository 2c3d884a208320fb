"""Whether this process was forked from one that had loaded torch; knows nothing of torch itself.

The thread pools of OpenMP do not survive a fork: work that is shared among threads would wait for them for ever.
"""

import os
import sys

_PROCESS = {"torch_threads_lost": False}


def torch_threads_lost() -> bool:
    """Whether torch may hold threads of the process that this one was forked from, which are not in this one."""
    return _PROCESS["torch_threads_lost"]


def _note() -> None:
    _PROCESS["torch_threads_lost"] = "torch" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note)
