"""Scores of transforms that any tool produced, on a dataset or on one pair."""

from dataclasses import dataclass
from pathlib import Path

from samereg.app.record import write_json
from samereg.app.scans import read_scan
from samereg.bench.dataset import Case, Dataset
from samereg.bench.find_transforms import Files, find_transforms, read_found
from samereg.bench.job import score_case
from samereg.bench.learn2reg import ChallengeScores, challenge_scores, require_surface_distance
from samereg.bench.scores import Scores
from samereg.errors import FileError
from samereg.geometry.transform import Transform
from samereg.io.format_names import TransformFormatName
from samereg.io.images import read_grid, read_labels
from samereg.io.transform_formats.spaces import Spaces


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """Scores of one pair.

    Attributes:
        task: set of pairs.
        fixed: name of the scan that stays.
        moving: name of the scan that was aligned with it.
        transform: files that were scored, in the order in which they are applied.
        scores: in physical units.
        challenge: figures as the Learn2Reg challenge computes them; None unless asked for.
    """

    task: str
    fixed: str
    moving: str
    transform: Files
    scores: Scores
    challenge: ChallengeScores | None = None


def evaluate_dataset(
    dataset: Dataset, results: Path, *, format: TransformFormatName | None = None, learn2reg_compat: bool = False
) -> tuple[Evaluated, ...]:
    """Score a transform for every pair of a dataset.

    Args:
        dataset: labelled pairs.
        results: folder that holds a transform for each pair, see `find_transform`; each maps fixed points to moving
            points.
        format: of the transforms; None tells it from each file.
        learn2reg_compat: compute the challenge's figures too.

    Raises:
        FileError: no transform for a pair, several, or a damaged one; or a pair without the labels that the challenge's
            figures need.
        MissingPackageError: the challenge's figures need the package `surface-distance`.
    """
    if learn2reg_compat:
        require_surface_distance()
        _require_labels(dataset.cases)
    found = zip(dataset.cases, find_transforms(results, dataset.cases), strict=True)
    return tuple(
        evaluate_case(case, dataset, files, format=format, learn2reg_compat=learn2reg_compat) for case, files in found
    )


def evaluate_case(
    case: Case,
    dataset: Dataset,
    files: Files,
    *,
    format: TransformFormatName | None = None,
    learn2reg_compat: bool = False,
) -> Evaluated:
    """Score the transform of one or several files on one pair.

    Args:
        case: the pair.
        dataset: what the labels are called.
        files: of the transform, fixed world to moving world, in the order in which they are applied.
        format: of the files; None tells it from each.
        learn2reg_compat: compute the challenge's figures too.

    Raises:
        FileError: missing or damaged.
        TransformError: not a transform of 3-D space.
    """
    fixed = read_scan(case.fixed.image)
    spaces = Spaces(fixed=fixed.grid, moving=read_grid(case.moving.image))
    transform = read_found(files, format=format, spaces=spaces)
    return Evaluated(
        task=case.task,
        fixed=case.fixed.name,
        moving=case.moving.name,
        transform=files,
        scores=score_case(case, dataset, transform, transform.inverse(), fixed),
        challenge=_challenge(case, transform) if learn2reg_compat else None,
    )


def write_evaluation(found: tuple[Evaluated, ...], path: Path) -> None:
    """Write every score as JSON, whole or not at all."""
    write_json(found, path)


def _require_labels(cases: tuple[Case, ...]) -> None:
    for case in cases:
        _labels_of(case)


def _labels_of(case: Case) -> tuple[Path, Path]:
    if case.fixed.labels is None or case.moving.labels is None:
        raise FileError(f"{case.name}: has no labels, which the challenge's figures need.")
    return case.fixed.labels, case.moving.labels


def _challenge(case: Case, transform: Transform) -> ChallengeScores:
    fixed, moving = (read_labels(path) for path in _labels_of(case))
    return challenge_scores(fixed, moving, transform)
