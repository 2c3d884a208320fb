"""The test suite as other processors run it: python -m tests.matrix [--only NAME] [pytest arguments].

Each row limits the instructions that oneDNN and ATen may use, or the threads, in a process of its own. A limit above
what this processor has changes nothing, so that every row runs everywhere; the header of each run says what was used.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One way to run the suite.

    Attributes:
        name: on the command line.
        meaning: which computer it stands for.
        environment: variables that make this one behave like it.
    """

    name: str
    meaning: str
    environment: dict[str, str] = field(default_factory=dict)


ROWS = (
    Row(name="this", meaning="this processor as it is"),
    Row(
        name="avx2",
        meaning="a processor with AVX2 alone",
        environment={"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    ),
    Row(
        name="avx512",
        meaning="AVX-512 without bfloat16: networks in single precision",
        environment={"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    ),
    Row(
        name="avx512-bf16",
        meaning="AVX-512 with bfloat16, without AMX",
        environment={"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
    ),
    Row(name="default", meaning="no vector kernels in ATen", environment={"ATEN_CPU_CAPABILITY": "default"}),
    Row(name="one-thread", meaning="one thread", environment={"OMP_NUM_THREADS": "1"}),
    Row(name="two-threads", meaning="two threads", environment={"OMP_NUM_THREADS": "2"}),
)


def main() -> int:
    """Run the rows one after another; 1 if any of them fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[row.name for row in ROWS], help="run this row; repeatable")
    options, rest = parser.parse_known_args()
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    results = [(row, *run(row, rest)) for row in rows]
    for row, code, seconds in results:
        print(f"{row.name:<12} {'passed' if code == 0 else f'FAILED ({code})':<12} {seconds:5.0f} s  {row.meaning}")
    return int(any(code for _, code, _ in results))


def run(row: Row, arguments: list[str]) -> tuple[int, float]:
    """Exit code and seconds of the suite in one row's environment."""
    print(f"--- {row.name}: {row.meaning}", flush=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | row.environment, check=False)
    return done.returncode, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
