"""How long samereg takes, beside itk-elastix on the same pair in the same run.

    python benchmarks/speed.py                               a phantom pair made on the spot
    python benchmarks/speed.py --fixed F --moving M          your own scans
    python benchmarks/speed.py --no-peers                    samereg alone

Prints seconds, peak memory, and the ratio of each time to that of the whole `samereg register --preset fast` process.
Every process is measured from start to exit, so start-up, reading and writing count. Stop everything else first.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from samereg.app.machine import prepare_machine
from samereg.app.scans import read_scan
from samereg.app.settings import MachineSettings
from samereg.estimate.deform import load_deformer
from samereg.geometry.grid import axis_aligned_grid
from samereg.image.preprocess import to_model_space
from samereg.io.images import write_volume
from samereg.matching.embed import load_embedder
from samereg.phantom.subject import make_subject
from samereg.pipeline.pair import Pair, prepare_scan
from samereg.pipeline.recipes import same_plus
from samereg.pipeline.stage import beginning

PAPER_SHAPE = (192, 144, 208)
"""(d, h, w) of the paper's 208x144x192 at 2 mm."""

ELASTIX = """
import sys, itk
fixed, moving, kinds = itk.imread(sys.argv[1], itk.F), itk.imread(sys.argv[2], itk.F), sys.argv[3].split(",")
parameters = itk.ParameterObject.New()
for kind in kinds:
    parameters.AddParameterMap(parameters.GetDefaultParameterMap(kind))
moved, transform = itk.elastix_registration_method(fixed, moving, parameter_object=parameters)
itk.imwrite(moved, sys.argv[4])
"""
"""itk-elastix with the defaults of its own parameter maps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Wall time of one thing, and the peak memory of its process where it had one."""

    name: str
    seconds: float
    peak_gb: float | None = None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixed", type=Path)
    parser.add_argument("--moving", type=Path)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--repeats", type=int, default=3, help="every time is the shortest of so many runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fixed, moving = (options.fixed, options.moving) if options.fixed else phantom_pair(folder)
        presets = ("fast", "default", "best")
        rows = [measure_process(fixed, moving, folder, preset, options.repeats) for preset in presets]
        if not options.no_peers:
            rows += measure_peers(fixed, moving, folder, options.repeats)
        rows += measure_parts(fixed, moving, options.repeats)
    print_table(rows)


def phantom_pair(folder: Path) -> tuple[Path, Path]:
    """Two synthetic subjects of the paper's size, as files."""
    grid = axis_aligned_grid(PAPER_SHAPE, (2.0, 2.0, 2.0), (-207.0, -143.0, -191.0))
    paths = []
    for seed, phase in ((0, "CE"), (1, "NC")):
        paths.append(folder / f"phantom-{seed}.nii.gz")
        write_volume(make_subject(seed, grid=grid).volumes[phase], paths[-1])
    return paths[0], paths[1]


def measure_parts(fixed: Path, moving: Path, repeats: int) -> list[Measured]:
    """Best of several runs of each step, in this process."""
    prepare_machine(MachineSettings(device="cpu"), seed=0)
    embedder = load_embedder()
    grid = axis_aligned_grid(PAPER_SHAPE, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    volumes = [read_scan(fixed), read_scan(moving)]
    model = to_model_space(volumes[0])
    box = type(model)(data=torch.zeros(1, *PAPER_SHAPE), grid=grid, background=-1.0)
    rows = [best("embed 208x144x192", lambda: embedder.embed(box), repeats)]
    pair = Pair(fixed=prepare_scan(volumes[0], embedder), moving=prepare_scan(volumes[1], embedder), embedder=embedder)
    result = beginning()
    for stage in same_plus(load_deformer("sam-vm")):
        rows.append(best(stage.name, lambda stage=stage, before=result: stage.run(pair, before), repeats))  # type: ignore[misc]
        result = stage.run(pair, result)
    return rows


def best(name: str, work: Callable[[], object], repeats: int) -> Measured:
    """Shortest wall time of several runs."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return Measured(name=name, seconds=min(seconds))


def measure_process(fixed: Path, moving: Path, folder: Path, preset: str, repeats: int) -> Measured:
    """`samereg register`, start to exit."""
    command = [sys.executable, "-m", "samereg.cli.main", "register", "-f", str(fixed), "-m", str(moving)]
    words = ["-o", str(folder / preset), "--preset", preset, "-q", "--overwrite"]
    return quickest(f"samereg register {preset}", [*command, *words], repeats)


def measure_peers(fixed: Path, moving: Path, folder: Path, repeats: int) -> list[Measured]:
    """itk-elastix, affine and affine + B-spline; skipped by name where it is not installed."""
    rows = []
    for name, kinds in (("elastix affine", "affine"), ("elastix B-spline", "affine,bspline")):
        moved = folder / f"{kinds}.nii.gz"
        command = [sys.executable, "-c", ELASTIX, str(fixed), str(moving), kinds, str(moved)]
        try:
            rows.append(quickest(name, command, repeats))
        except subprocess.CalledProcessError as error:
            print(f"{name}: not measured: {error.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    return rows


def quickest(name: str, command: list[str], repeats: int) -> Measured:
    """The shortest of several runs of one process, for samereg and its peers alike."""
    return min((run(name, command) for _ in range(repeats)), key=lambda measured: measured.seconds)


def run(name: str, command: list[str]) -> Measured:
    """Wall time and peak memory of one process."""
    began = time.perf_counter()
    script = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(done.returncode)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], check=True, capture_output=True, text=True)
    return Measured(name=name, seconds=time.perf_counter() - began, peak_gb=int(done.stdout.split()[-1]) / 2**20)


def print_table(rows: list[Measured]) -> None:
    """One line each, with its time in units of the whole samereg process."""
    whole = next(row.seconds for row in rows if row.name == "samereg register fast")
    print(f"{'':<26}{'seconds':>10}{'ratio':>10}{'peak GB':>10}")
    for row in rows:
        peak = "" if row.peak_gb is None else f"{row.peak_gb:.2f}"
        print(f"{row.name:<26}{row.seconds:>10.2f}{row.seconds / whole:>10.2f}{peak:>10}")


if __name__ == "__main__":
    main()
