"""Scores of transforms that any tool produced, on a dataset or on one pair."""

from dataclasses import dataclass
from pathlib import Path

from samereg.app.record import write_json
from samereg.app.scans import read_scan
from samereg.bench.dataset import Case, Dataset
from samereg.bench.job import score_case
from samereg.bench.learn2reg import ChallengeScores, challenge_scores
from samereg.bench.scores import Scores
from samereg.errors import FileError
from samereg.geometry.transform import Transform
from samereg.io.atomic import atomic_file
from samereg.io.images import read_labels
from samereg.io.transforms import read_transform

TRANSFORM_NAMES = ("transform.h5", "transform.tfm", "transform.nii.gz", "transform.mha", "transform.nrrd")
"""Looked for in the folder RESULTS/FIXED__MOVING, in this order."""

SUFFIXES = (".h5", ".tfm", ".nii.gz", ".mha", ".nrrd")
"""Looked for as RESULTS/FIXED__MOVING.SUFFIX."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """Scores of one pair.

    Attributes:
        task: set of pairs.
        fixed: name of the scan that stays.
        moving: name of the scan that was aligned with it.
        transform: file that was scored.
        scores: in physical units.
        challenge: figures as the Learn2Reg challenge computes them; None unless asked for.
    """

    task: str
    fixed: str
    moving: str
    transform: Path
    scores: Scores
    challenge: ChallengeScores | None = None


def evaluate_dataset(dataset: Dataset, results: Path, *, learn2reg_compat: bool = False) -> tuple[Evaluated, ...]:
    """Score a transform for every pair of a dataset.

    Args:
        dataset: labelled pairs.
        results: folder that holds FIXED__MOVING/transform.h5 or FIXED__MOVING.h5 for each pair, or another format
            that is read; each maps fixed points to moving points.
        learn2reg_compat: compute the challenge's figures too.

    Raises:
        FileError: no transform for a pair, or a damaged one.
    """
    found = [(case, find_transform(results, case)) for case in dataset.cases]
    return tuple(evaluate_case(case, dataset, path, learn2reg_compat=learn2reg_compat) for case, path in found)


def evaluate_case(case: Case, dataset: Dataset, path: Path, *, learn2reg_compat: bool = False) -> Evaluated:
    """Score the transform of a file on one pair.

    Args:
        case: the pair.
        dataset: what the labels are called.
        path: transform, fixed world to moving world.
        learn2reg_compat: compute the challenge's figures too.

    Raises:
        FileError: missing or damaged.
        TransformError: not a transform of 3-D space.
    """
    transform = read_transform(path)
    scores = score_case(case, dataset, transform, transform.inverse(), read_scan(case.fixed.image))
    return Evaluated(
        task=case.task,
        fixed=case.fixed.name,
        moving=case.moving.name,
        transform=path,
        scores=scores,
        challenge=_challenge(case, transform) if learn2reg_compat else None,
    )


def find_transform(results: Path, case: Case) -> Path:
    """File that holds the transform of a pair.

    Raises:
        FileError: there is none.
    """
    inside = [results / case.name / name for name in TRANSFORM_NAMES]
    beside = [results / f"{case.name}{suffix}" for suffix in SUFFIXES]
    for path in (*inside, *beside):
        if path.is_file():
            return path
    raise FileError(f"{results}: holds no transform for the pair {case.name}; need {inside[0]} or {beside[0]}.")


def write_evaluation(found: tuple[Evaluated, ...], path: Path) -> None:
    """Write every score as JSON, whole or not at all."""
    with atomic_file(path) as temporary:
        write_json(found, temporary)


def _challenge(case: Case, transform: Transform) -> ChallengeScores:
    if case.fixed.labels is None or case.moving.labels is None:
        raise FileError(f"{case.name}: has no labels, which the challenge's figures need.")
    return challenge_scores(read_labels(case.fixed.labels), read_labels(case.moving.labels), transform)
