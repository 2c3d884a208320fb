"""Landmarks contradict each other where no map without folds goes through them, and matches agree near them."""

import pytest
import torch

from samereg.geometry.affine import Affine
from samereg.matching.landmarks import Landmarks, agreeing, contradictions, no_landmarks

IDENTITY = Affine.identity()
HALF_TURN = Affine.from_parts(
    torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64)), torch.zeros(3, dtype=torch.float64)
)
PLACES = {"carina": [0.0, 0.0, 0.0], "left dome": [70.0, 0.0, -120.0], "right dome": [-70.0, 0.0, -120.0]}


def points(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def landmarks(**moved: list[float]) -> Landmarks:
    """The places, moved by 10 mm; some of them elsewhere."""
    moving = {name: [x + 10.0, y, z] for name, (x, y, z) in PLACES.items()} | {
        name.replace("_", " "): place for name, place in moved.items()
    }
    return Landmarks(
        names=tuple(PLACES), fixed_mm=points(*PLACES.values()), moving_mm=points(*(moving[name] for name in PLACES))
    )


def test_landmarks_of_one_anatomy_do_not_contradict_each_other() -> None:
    assert contradictions(landmarks()) == ()
    assert contradictions(no_landmarks()) == ()


def test_exchanged_landmarks_are_named() -> None:
    exchanged = landmarks(left_dome=[-60.0, 0.0, -120.0], right_dome=[80.0, 0.0, -120.0])
    assert contradictions(exchanged) == (
        "'left dome' contradicts 'right dome': they lie in reversed order in the two scans",
    )


def test_the_landmark_that_contradicts_all_others_is_named_first() -> None:
    (sentence,) = contradictions(landmarks(carina=[0.0, 0.0, -800.0]))
    assert sentence.startswith(
        "'carina' contradicts 'left dome', 'right dome': they (the first of them) are 139 mm apart"
    )
    assert "685 mm in the moving scan" in sentence


def test_a_start_says_how_scans_lie_whose_headers_differ() -> None:
    turned = landmarks().in_worlds(IDENTITY, HALF_TURN)
    assert len(contradictions(turned)) == 1
    assert contradictions(turned, HALF_TURN) == ()


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ([[0.0, 0.0, 0.0], [90.0, 0.0, 0.0], [0.0, 90.0, 0.0]], True),
        ([[0.0, 0.0, 0.0], [90.0, 0.0, 0.0], [180.0, 5.0, 0.0]], False),
        ([[0.0, 0.0, 0.0], [90.0, 0.0, 0.0]], False),
    ],
    ids=["three in a plane", "three on a line", "two"],
)
def test_a_rotation_takes_three_landmarks_off_one_line(places: list[list[float]], told: bool) -> None:
    given = points(*places)
    assert Landmarks(names=tuple("abc"[: len(given)]), fixed_mm=given, moving_mm=given).give_a_rotation is told


def test_a_match_has_to_move_as_a_landmark_does_the_more_the_nearer_it_is() -> None:
    shift = points([10.0, 0.0, 0.0])
    fixed = points([5.0, 0.0, 0.0], [5.0, 0.0, 0.0], [0.0, 400.0, 0.0])
    moving = fixed + shift + points([0.0, 0.0, 12.0], [0.0, 0.0, 35.0], [0.0, 0.0, 35.0])
    one = Landmarks(names=("a",), fixed_mm=points([0.0, 0.0, 0.0]), moving_mm=shift)
    assert agreeing(one, fixed, moving, IDENTITY).tolist() == [True, False, True]
    assert agreeing(no_landmarks(), fixed, moving, IDENTITY).all()


def test_residuals_are_distances_in_the_moving_world() -> None:
    assert landmarks(carina=[0.0, 3.0, 4.0]).residual_mm(IDENTITY).tolist() == [5.0, 10.0, 10.0]
