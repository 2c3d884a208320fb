"""Evaluation of transforms of any tool, on a dataset or one pair."""

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
from samereg.io.images import read_grid, read_labels_of
from samereg.io.transform_formats.spaces import Spaces


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """Scores of one pair.

    Attributes:
        task: set of pairs.
        fixed: name of the fixed scan.
        moving: name of the moving scan.
        transform: evaluated files, in order of application.
        scores: in physical units.
        challenge: measures of the Learn2Reg challenge; None unless requested.
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
    """Evaluates a transform for every pair of a dataset.

    Args:
        dataset: labelled pairs.
        results: folder with a transform for each pair, see `find_transform`; each maps fixed to moving
            points.
        format: of the transforms; None to detect it.
        learn2reg_compat: also compute the measures of the challenge.

    Raises:
        FileError: no transform for a pair, several, or a damaged one; or missing labels for the challenge's
            measures.
        MissingPackageError: the challenge's measures need the package `surface-distance`.
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
    """Evaluates a transform in one or several files on one pair.

    Args:
        case: the pair.
        dataset: names of the labels.
        files: of the transform, fixed world to moving world, in order of application.
        format: of the files; None to detect it.
        learn2reg_compat: also compute the measures of the challenge.

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
    """Writes all scores as JSON, atomically."""
    write_json(found, path)


def _require_labels(cases: tuple[Case, ...]) -> None:
    for case in cases:
        _labels_of(case)


def _labels_of(case: Case) -> tuple[Path, Path]:
    if case.fixed.labels is None or case.moving.labels is None:
        raise FileError(f"{case.name}: has no labels, which the challenge's measures need.")
    return case.fixed.labels, case.moving.labels


def _challenge(case: Case, transform: Transform) -> ChallengeScores:
    labels = _labels_of(case)
    fixed, moving = read_labels_of(labels[0], case.fixed.image), read_labels_of(labels[1], case.moving.image)
    return challenge_scores(fixed, moving, transform)
