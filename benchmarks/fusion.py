"""How well fused labels of several atlases agree with the truth, beside those of single atlases.

    python -m benchmarks.fusion --phantom 10 --output fusion.md
    python -m benchmarks.fusion --data DIR --set test-threshold --output fusion.md

With a dataset (manifest.csv, pairs.csv, labels.csv), every scan of the set is left out once and labelled by the others.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from samereg.app.fusion import Atlas, Voter, fuse, register_atlases
from samereg.app.machine import prepare_machine
from samereg.app.phantoms import PhantomSettings, write_phantoms
from samereg.app.scans import read_scan
from samereg.app.session import Session
from samereg.app.settings import FuseMethod, FuseSettings, MachineSettings, RegisterSettings
from samereg.bench.read_manifest import read_manifest
from samereg.geometry.volume import LabelMap
from samereg.io.images import read_labels
from samereg.metrics.overlap import dice

METHODS: tuple[tuple[str, FuseMethod, float], ...] = (
    ("majority", "majority", 0.0),
    ("weighted, sharpness 10", "weighted", 10.0),
    ("weighted, sharpness 20", "weighted", 20.0),
    ("weighted, sharpness 40", "weighted", 40.0),
    ("STAPLE", "staple", 0.0),
)


def main() -> None:
    """Measure and write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phantom", type=int, default=0, metavar="N", help="atlases; one more phantom is the target")
    parser.add_argument("--spacing", type=float, default=3.0, help="of the phantoms, mm")
    parser.add_argument("--scans", type=Path, default=Path("build/fusion-phantoms"), help="where phantoms are made")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--set", default="test-threshold")
    parser.add_argument(
        "--most", type=int, default=0, metavar="N", help="leave out no more than N scans; 0 leaves out all"
    )
    parser.add_argument("--preset", default="fast", choices=("default", "best", "fast", "affine"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    flags = parser.parse_args()
    prepare_machine(MachineSettings(device="cpu", threads=flags.threads), seed=0)
    session = Session(device="cpu")
    settings = FuseSettings(registration=RegisterSettings(preset=flags.preset))
    scans = phantoms(flags.phantom, flags.scans, flags.spacing) if flags.phantom else labelled(flags.data, flags.set)
    rows: list[tuple[str, list[float]]] = []
    for target, atlases in left_out(scans, only_first=bool(flags.phantom), most=flags.most):
        rows.append((target.image.name, measure(session, target, atlases, settings)))
        flags.output.write_text(table(rows))
        print(table(rows[-1:]), flush=True)


def phantoms(count: int, folder: Path, spacing_mm: float) -> tuple[Atlas, ...]:
    """One target, seed 100 with contrast agent, and atlases without."""
    shape = (round(384 / spacing_mm), round(288 / spacing_mm), round(416 / spacing_mm))
    cohort = PhantomSettings(subjects=count + 1, seed=100, spacing_mm=(spacing_mm,) * 3, shape=shape)
    write_phantoms(folder, settings=cohort, overwrite=True)
    return tuple(
        Atlas(
            image=folder / "images" / f"phantom-{seed}-{'NC' if seed > 100 else 'CE'}.nii.gz",
            labels=folder / "labels" / f"phantom-{seed}.nii.gz",
        )
        for seed in range(100, 101 + count)
    )


def labelled(folder: Path, name: str) -> tuple[Atlas, ...]:
    """Labelled scans of a set, each once."""
    cases = read_manifest(folder).only((name,)).cases
    scans = dict.fromkeys(scan for case in cases for scan in (case.fixed, case.moving))
    return tuple(Atlas(image=scan.image, labels=scan.labels) for scan in scans if scan.labels is not None)


def left_out(scans: Sequence[Atlas], *, only_first: bool, most: int) -> Iterator[tuple[Atlas, list[Atlas]]]:
    """Each scan as target, and all others."""
    count = 1 if only_first else (most or len(scans))
    for target in scans[:count]:
        yield target, [other for other in scans if other != target]


def measure(session: Session, target: Atlas, atlases: Sequence[Atlas], settings: FuseSettings) -> list[float]:
    """Mean Dice in %: mean and best of single atlases, then of each way to fuse."""
    scan = session.prepare(read_scan(target.image))
    truth = read_labels(target.labels)
    voters, _ = register_atlases(session, scan, atlases, settings=settings)
    single = [mean_dice(truth, [voter], "majority", 0.0) for voter in voters]
    fused = [mean_dice(truth, voters, method, sharpness) for _, method, sharpness in METHODS]
    return [float(len(voters)), fmean(single), max(single), *fused]


def mean_dice(truth: LabelMap, voters: Sequence[Voter], method: FuseMethod, sharpness: float) -> float:
    """Over the labels of the target that at least one atlas has, in %."""
    fused = fuse(voters, truth.grid, method, sharpness=sharpness)
    held = {value for voter in voters for value in voter.labels.data.unique().tolist()}
    found = dice(truth.data, fused.labels.data)
    return 100.0 * fmean(found[value] for value in truth.data.unique().tolist() if value != 0 and value in held)


def table(rows: Sequence[tuple[str, list[float]]]) -> str:
    """Markdown."""
    header = ["target", "atlases", "single, mean", "single, best", *(name for name, _, _ in METHODS)]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for name, numbers in rows:
        lines.append(f"| {name} | {numbers[0]:.0f} | " + " | ".join(f"{value:.1f}" for value in numbers[1:]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
