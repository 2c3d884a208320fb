"""Registers every pair of a set with one baseline method, one pair after another, and times it.

    python recipes/baseline.py --data DIR --set NAME --method deeds --output OUT

DIR is a data folder as `recipes/labelled.py` describes it. OUT/FIXED__MOVING/transform.h5 gets each transform, and
OUT/seconds.csv the wall and processor seconds that each took, reading and writing left out; a first pair of phantoms,
untimed, compiles what a method compiles.
"""

import argparse
import csv
import time
from pathlib import Path

from labelled import mean, read_table

from samereg.app.machine import MachineSettings, prepare_machine
from samereg.app.scans import read_scan
from samereg.baselines.methods import METHODS
from samereg.geometry.grid import axis_aligned_grid
from samereg.io.transforms import write_transform
from samereg.phantom.subject import make_subject


def main() -> None:
    """Register, write, print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--method", choices=sorted(METHODS), required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    prepare_machine(MachineSettings(threads=options.threads), seed=0)
    seconds = run_set(options.data, options.set, options.method, options.output)
    with (options.output / "seconds.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("pair", "seconds", "processor_seconds"), *((k, *v) for k, v in seconds.items())])
    wall, processor = (mean(column) for column in zip(*seconds.values(), strict=True))
    print(f"{options.method}: {len(seconds)} pairs, mean {wall:.1f} s, {processor:.1f} s of the processors")


def run_set(data: Path, name: str, method_name: str, output: Path) -> dict[str, tuple[float, float]]:
    """Wall and processor seconds of each pair of a set, in the order of `pairs.csv`."""
    method = METHODS[method_name]()
    print(method.version(), flush=True)
    warm_up(method_name)
    scans = {row["id"]: row for row in read_table(data / "manifest.csv")}
    seconds = {}
    for pair in read_table(data / "pairs.csv"):
        if pair["set"] != name:
            continue
        fixed, moving = (read_scan(data / scans[pair[side]]["image"]) for side in ("fixed", "moving"))
        begun, begun_processor = time.perf_counter(), time.process_time()
        transform = method.register(fixed, moving)
        key = f"{pair['fixed']}__{pair['moving']}"
        seconds[key] = round(time.perf_counter() - begun, 2), round(time.process_time() - begun_processor, 2)
        (output / key).mkdir(parents=True, exist_ok=True)
        write_transform(transform, output / key / "transform.h5")
        print(f"{key} {seconds[key][0]} s, {seconds[key][1]} s of the processors", flush=True)
    return seconds


def warm_up(method_name: str) -> None:
    """One registration of two small phantoms."""
    grid = axis_aligned_grid((48, 36, 52), (8.0, 8.0, 8.0), (-204.0, -140.0, -188.0))
    first, second = (make_subject(seed, grid=grid).volumes["CE"] for seed in (0, 1))
    METHODS[method_name]().register(first, second)


if __name__ == "__main__":
    main()
