"""The part `files`: thousands of damaged files, each read and judged; failures are shrunk to the least damage."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.faults.format import target_of
from benchmarks.faults.judge import GOOD, Ending
from benchmarks.faults.mutations import random_recipe
from benchmarks.faults.records import append_row, read_rows
from benchmarks.faults.splices import Recipe, Splice
from benchmarks.faults.worker import BY_NAME, Watched, base_of

Judge = Callable[[Recipe], Ending]
_SHRINKS = 12
"""Readings that shrinking one failure may take."""


def recipe_of_case(number: int, seed: int) -> Recipe:
    """Damage of one case: formats take turns, and the rest is a function of number and seed."""
    names = tuple(BY_NAME)
    name = names[number % len(names)]
    target = target_of(BY_NAME[name], base_of(name).files)
    return random_recipe(name, target, np.random.default_rng([seed, number]))


def run_cases(cases: int, seed: int, path: Path, *, on_case: Callable[[int, str], None] | None = None) -> None:
    """Read every case that has no row yet.

    Args:
        cases: how many in all.
        seed: of the damage.
        path: file of rows.
        on_case: told the number and verdict of each.
    """
    done = {row["number"] for row in read_rows(path)}
    worker = Watched()
    try:
        for number in range(cases):
            if number in done:
                continue
            recipe = recipe_of_case(number, seed)
            ending = worker.run(recipe)
            least = recipe if ending.verdict in GOOD else shrunk(recipe, ending, worker.run)
            row = {
                "number": number,
                "format": recipe.format,
                "kinds": [splice.kind for splice in recipe.splices],
                "verdict": ending.verdict,
                "error": ending.error,
                "detail": ending.detail,
            }
            append_row(path, row if ending.verdict in GOOD else {**row, "recipe": least.plain()})
            if on_case is not None:
                on_case(number, ending.verdict)
    finally:
        worker.close()


def shrunk(recipe: Recipe, ending: Ending, run: Judge) -> Recipe:
    """The least damage that ends in the same way: fewer splices, then smaller ones."""
    best, left = recipe, _SHRINKS
    progress = True
    while progress and left > 0:
        progress = False
        for smaller in _smaller(best):
            left -= 1
            if run(smaller).verdict == ending.verdict:
                best, progress = smaller, True
                break
            if left <= 0:
                break
    return best


def _smaller(recipe: Recipe) -> Iterator[Recipe]:
    for number in range(len(recipe.splices)):
        if len(recipe.splices) > 1:
            yield Recipe(format=recipe.format, splices=recipe.splices[:number] + recipe.splices[number + 1 :])
    for number, splice in enumerate(recipe.splices):
        for less in _halves(splice):
            yield Recipe(format=recipe.format, splices=(*recipe.splices[:number], less, *recipe.splices[number + 1 :]))


def _halves(splice: Splice) -> Iterator[Splice]:
    length = len(splice.new) // 2
    if length > 1 and splice.kind not in ("field", "word", "magic"):
        half = length // 2
        size = half if splice.keeps_length else splice.size
        yield Splice(
            kind=splice.kind, file=splice.file, view=splice.view, at=splice.at, size=size, new=splice.new[: 2 * half]
        )
