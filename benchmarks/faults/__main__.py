"""What happens when something goes wrong, measured: damaged files, kills, disks, long use, repetition.

    python -m benchmarks.faults --cases 10000 --seed 0 --table docs/results/faults.md
    python -m benchmarks.faults --part files --cases 500 --seed 7

Run from the root of a checkout. Each case is recorded as it ends, in build/faults by default, and a run that was
stopped goes on; remove that folder to begin anew. Disks need root and are skipped by name without it. The exit code
is 1 where a bar is missed.
"""

import argparse
import logging
import os
import sys
import time
from pathlib import Path

import torch

import samereg
from benchmarks.faults.cases import run_cases
from benchmarks.faults.disks import run_disks
from benchmarks.faults.judge import GOOD
from benchmarks.faults.kills import run_kills
from benchmarks.faults.long_use import run_memory, run_repeats
from benchmarks.faults.page import PARTS, Run, bars_met, page
from benchmarks.faults.records import keep_rows
from samereg.app.record import describe_device

_TOLD_EVERY_S = 20.0


def main() -> int:
    """Run the parts, write the page, and say whether every bar is met."""
    options = _options()
    folder = options.folder / f"seed-{options.seed}"
    for part in [options.part] if options.part else PARTS:
        _run_part(part, options, folder)
    run = Run(
        command="python -m benchmarks.faults " + " ".join(sys.argv[1:]),
        machine=_machine(),
        version=samereg.__version__,
        folder=folder,
    )
    text = page(run)
    if options.table is None:
        print(text)
    else:
        options.table.write_text(text, encoding="utf-8")
    return 0 if bars_met(run) else 1


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    return f"{describe_device(torch.device('cpu'))} ({cores} cores, {torch.backends.cpu.get_cpu_capability()})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10000, help="damaged files")
    parser.add_argument("--kills", type=int, default=200, help="processes that are killed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--retry-faults", action="store_true", help="read again those damaged files that ended in a fault"
    )
    parser.add_argument("--part", choices=PARTS, help="one part alone; all by default")
    parser.add_argument("--table", type=Path, help="page to write; printed by default")
    parser.add_argument("--folder", type=Path, default=Path("build") / "faults", help="where cases are recorded")
    return parser.parse_args()


def _run_part(part: str, options: argparse.Namespace, folder: Path) -> None:
    logging.getLogger("samereg").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    rows, place = folder / f"{part}.jsonl", folder.absolute() / "inputs"
    place.mkdir(parents=True, exist_ok=True)
    if part == "files":
        if options.retry_faults:
            keep_rows(rows, lambda row: row["verdict"] in GOOD)
        run_cases(options.cases, options.seed, rows, on_case=_Teller().case)
    elif part == "kills":
        run_kills(options.kills, options.seed, rows, place, on_kill=_report_error)
    elif part == "disks":
        run_disks(rows, place, on_check=_report_error)
    elif part == "memory":
        run_memory(rows, place, on_step=_report_error)
    else:
        run_repeats(rows, place, on_step=_report_error)


class _Teller:
    """Says from time to time how far the cases are, and every fault at once."""

    def __init__(self) -> None:
        self._last = 0.0

    def case(self, number: int, verdict: str) -> None:
        """Hear of one case."""
        if verdict not in GOOD or time.monotonic() - self._last > _TOLD_EVERY_S:
            self._last = time.monotonic()
            _report_error(f"case {number}", verdict)


def _report_error(what: str, how: str) -> None:
    print(f"{what}: {how}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
