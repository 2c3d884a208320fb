"""How long samereg takes on an NVIDIA GPU: from scans in memory to a transform, and from files to files.

    python -m benchmarks.gpu                                 a phantom pair made on the spot
    python -m benchmarks.gpu --fixed F --moving M            your own scans

Prints the device, then for each preset the seconds of the first run, which selects algorithms, and of the shortest of
the next ones, with its stages, the peak memory of the GPU, how often tensors cross between it and the host, and the
seconds of the whole `samereg register` process. Stop everything else first. `--device cpu` tries it out without a GPU.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.speed import phantom_pair, quickest
from samereg.app.machine import choose_device
from samereg.app.record import describe_device
from samereg.app.scans import read_scan
from samereg.app.session import Registered, Session
from samereg.app.settings import MachineSettings, RegisterSettings
from samereg.errors import UsageError
from samereg.geometry.volume import Volume
from samereg.pipeline.recipes import PresetName

PRESETS: tuple[PresetName, ...] = ("fast", "default", "best")

TO_DEVICE, TO_HOST = "Memcpy HtoD", "Memcpy DtoH"
"""What CUDA calls its copies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One preset on one pair.

    Attributes:
        preset: its name.
        first: seconds of the first run, from scans in memory to both transforms.
        best: seconds of the shortest of the next runs.
        stages: seconds of each of its stages.
        peak_gb: largest memory of the GPU, GB of 2^30 bytes; 0 on a CPU.
        copies: times that a tensor went to the GPU and back to the host.
        process: seconds of the whole command, from files to files.
    """

    preset: PresetName
    first: float
    best: float
    stages: tuple[tuple[str, float], ...]
    peak_gb: float
    copies: tuple[int, int]
    process: float


def main(words: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixed", type=Path)
    parser.add_argument("--moving", type=Path)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--repeats", type=int, default=3, help="every time is the shortest of so many runs")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=PRESETS)
    options = parser.parse_args(words)
    if (options.fixed is None) != (options.moving is None):
        parser.error("got one scan; need both --fixed and --moving, or neither")
    try:
        device = choose_device(options.device)
    except UsageError as error:
        sys.exit(str(error))
    print(f"{describe_device(device)}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = (options.fixed, options.moving) if options.fixed else phantom_pair(folder)
        for preset in options.presets:
            print_measured(measure(paths, preset, device, folder, options.repeats))


def measure(paths: tuple[Path, Path], preset: PresetName, device: torch.device, folder: Path, repeats: int) -> Measured:
    """One preset, from scans in memory and from files."""
    volumes = read_scan(paths[0]), read_scan(paths[1])
    settings = RegisterSettings(preset=preset, machine=MachineSettings(device=str(device)))
    session = Session(device=str(device))
    session.stages(settings)  # the network is loaded before the clock runs

    def work() -> Registered:
        return register(session, volumes, settings)

    first, _ = timed(work, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    runs = [timed(work, device) for _ in range(repeats)]
    best, found = min(runs, key=lambda run: run[0])
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    command = [sys.executable, "-m", "samereg.cli.main", "register", "-f", str(paths[0]), "-m", str(paths[1])]
    flags = ["-o", str(folder / preset), "--preset", preset, "--device", str(device), "-q", "--overwrite"]
    return Measured(
        preset=preset,
        first=first,
        best=best,
        stages=tuple((report.name, report.seconds) for report in found.result.stages),
        peak_gb=peak,
        copies=copies_of(work) if device.type == "cuda" else (0, 0),
        process=quickest(preset, [*command, *flags], repeats).seconds,
    )


def register(session: Session, volumes: tuple[Volume, Volume], settings: RegisterSettings) -> Registered:
    """Both scans made ready and registered."""
    fixed, moving = (session.prepare(volume) for volume in volumes)
    return session.register(fixed, moving, settings)


def timed(work: Callable[[], Registered], device: torch.device) -> tuple[float, Registered]:
    """Seconds of some work, until the GPU has done all of it, and its result."""
    _wait_for(device)
    began = time.perf_counter()
    found = work()
    _wait_for(device)
    return time.perf_counter() - began, found


def copies_of(work: Callable[[], object]) -> tuple[int, int]:
    """How often CUDA copies memory to the device and to the host while some work is done."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        work()
    events = profiled.key_averages()
    to_device, to_host = (sum(e.count for e in events if e.key.startswith(name)) for name in (TO_DEVICE, TO_HOST))
    return to_device, to_host


def print_measured(measured: Measured) -> None:
    """A few lines for one preset."""
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in measured.stages)
    print(f"{measured.preset}: scans in memory to transform {measured.best:.2f} s (first run {measured.first:.2f} s)")
    print(f"    stages {stages}")
    print(f"    peak {measured.peak_gb:.2f} GB, copies to the device {measured.copies[0]}, back {measured.copies[1]}")
    print(f"    files to files {measured.process:.2f} s")


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
