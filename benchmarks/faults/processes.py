"""Child processes with samereg already loaded, which can be killed at any moment; and the small pair they work on."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from samereg.app.phantoms import PhantomSettings, write_phantoms

SMALL = PhantomSettings(subjects=2, seed=100, spacing_mm=(6.0, 6.0, 6.0), shape=(20, 24, 28))
"""A slab of the chest of two phantoms, registered in a few seconds."""
FIXED, MOVING = "images/phantom-100-CE.nii.gz", "images/phantom-101-NC.nii.gz"
CRASHED = 70


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a child process ended.

    Attributes:
        code: its exit code; negative for a signal.
        seconds: it ran.
        words: end of what it printed.
    """

    code: int
    seconds: float
    words: str


def small_pair(folder: Path) -> Path:
    """Folder of two phantoms with images, labels and landmarks, made where it is missing."""
    cohort = folder / "cohort"
    if not cohort.is_dir():
        write_phantoms(cohort, settings=SMALL)
    return cohort


def run_child(work: Callable[[], int], log: Path, *, kill_after_s: float | None = None) -> Ended:
    """Do something in a forked process, and kill it with all its children after a time.

    Loading libraries takes longer than the work, so the child takes them over from this process, which has to run
    single-threaded.
    """
    torch.set_num_threads(1)
    began = time.monotonic()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _become(work, log)
    # Here too: the child may be killed before it does so itself.
    os.setpgid(child, child)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        seconds = time.monotonic() - began
        if ended:
            break
        if kill_after_s is not None and seconds > kill_after_s:
            os.killpg(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            break
        time.sleep(0.002)
    return Ended(code=os.waitstatus_to_exitcode(status), seconds=seconds, words=_tail(log))


def _become(work: Callable[[], int], log: Path) -> None:
    code = CRASHED
    try:
        os.setpgid(0, 0)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, 1)
        os.dup2(target, 2)
        code = work()
    except BaseException:  # noqa: BLE001 - a child may not go on in its parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _tail(log: Path) -> str:
    return log.read_text("utf-8", errors="replace")[-2000:] if log.is_file() else ""
