"""`samereg view` as a process: prints its address, answers on loopback, and ends with Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from samereg.geometry.volume import Volume
from samereg.io.images import write_volume

pytest.importorskip("uvicorn")

COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # as a terminal has it, whatever the tests run under
from samereg.cli.main import main
sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_prints_its_address_and_ends_with_ctrl_c(small_ct: Volume, tmp_path: Path) -> None:
    write_volume(small_ct, tmp_path / "scan.nii.gz")
    words = ["view", "-f", "scan.nii.gz", "-m", "scan.nii.gz", "--no-browser", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\S{20,}/", process.stdout.readline())
        assert found
        with urlopen(found.group(), timeout=120) as page:
            assert b"samereg view" in page.read()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, ""), out
    finally:
        process.kill()
        process.wait()
