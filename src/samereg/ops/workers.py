"""Work on independent pieces by as many threads as torch computes with, one of torch's threads to each."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")


def for_each(pieces: Sequence[Piece], work: Callable[[Piece], None]) -> None:
    """Do the work on every piece, in any order; nothing is recorded for gradients.

    Many operations of torch on small tensors run faster side by side than each of them spread over all threads.

    Args:
        pieces: what the work is called with.
        work: depends on nothing that another piece changes; its first error is raised.
    """
    threads = torch.get_num_threads()
    if min(threads, len(pieces)) < 2:
        with torch.no_grad():
            for piece in pieces:
                work(piece)
        return

    def alone(piece: Piece) -> None:
        with torch.no_grad():
            work(piece)

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            # Looking at each result raises the first error, and takes back what has not begun.
            for _ in pool.map(alone, pieces):
                pass
    finally:
        # The number is also that of threads which begin later.
        torch.set_num_threads(threads)
