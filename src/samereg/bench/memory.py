"""Peak memory of this process since the last reset; Linux only."""

from pathlib import Path

_PEAK = "VmHWM:"
_CLEAR_PEAK = "5"
"""Value to write to /proc/self/clear_refs to reset the peak."""


def reset_peak_memory() -> None:
    """Resets the peak to the current memory; does nothing on other systems than Linux."""
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        switch.write_text(_CLEAR_PEAK, encoding="ascii")


def peak_memory_gb() -> float | None:
    """Peak memory since the last reset, in GB of 2^30 bytes; None if unknown."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    for line in status.read_text(encoding="ascii").splitlines():
        if line.startswith(_PEAK):
            return round(int(line.split()[1]) / 2**20, 3)
    return None
