"""Largest memory of this process since it was last asked about; on Linux alone."""

from pathlib import Path

_PEAK = "VmHWM:"
_CLEAR_PEAK = "5"
"""What Linux wants written to forget the largest memory so far."""


def reset_peak_memory() -> None:
    """Begin to count from what is used now; elsewhere than on Linux nothing happens."""
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        switch.write_text(_CLEAR_PEAK, encoding="ascii")


def peak_memory_gb() -> float | None:
    """Largest memory since the last reset, in GB of 2^30 bytes; None where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    for line in status.read_text(encoding="ascii").splitlines():
        if line.startswith(_PEAK):
            return round(int(line.split()[1]) / 2**20, 3)
    return None
