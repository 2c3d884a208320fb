"""A process that was forked from one that had computed: the threads of the first are not in the second."""

import subprocess
import sys

PROGRAM = """
import os
import torch
import samereg
from samereg.geometry.grid import axis_aligned_grid

torch.set_num_threads(2)
grid = axis_aligned_grid((64, 64, 64), (2.0, 2.0, 2.0))
scan = samereg.Volume(data=torch.rand(1, 64, 64, 64), grid=grid)
embedder = samereg.load_embedder()

def compute():
    return embedder.embed(scan).local, samereg.resample_volume(scan, samereg.Affine.identity(), grid).data

before = compute()
child = os.fork()
if child == 0:
    after = compute()
    kept = torch.get_num_threads() == 2
    torch.set_num_threads(1)  # what compares them here is torch's own, which waits for the threads that are gone
    near = all(torch.allclose(a.float(), b.float(), atol=0.02) for a, b in zip(before, after))
    os._exit(0 if near and kept else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_computes_what_its_parent_did_instead_of_waiting_for_ever() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=240)
    assert done.stdout.strip() == "0", done.stderr
