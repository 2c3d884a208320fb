"""The fit of the linear stage: whom it believes."""

import pytest
import torch

from laws import GRIDS, points_inside, rotation
from samereg.baselines.mind_affine import fit_trimmed
from samereg.errors import DegeneratePointsError
from samereg.geometry.affine import Affine

POINTS_MM = points_inside(GRIDS["oblique"], 400)
TRUE = Affine.from_parts(1.08 * rotation((0.3, 1.0, -0.2), 9.0), torch.tensor([14.0, -30.0, 6.0], dtype=torch.float64))


def with_outliers(share: float) -> torch.Tensor:
    """Matches of the points, a share of which lie up to 80 mm away."""
    generator = torch.Generator().manual_seed(0)
    wrong = torch.rand(len(POINTS_MM), 1, generator=generator, dtype=torch.float64) < share
    scatter = 160.0 * torch.rand(POINTS_MM.shape, generator=generator, dtype=torch.float64) - 80.0
    return TRUE.apply(POINTS_MM) + wrong * scatter


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
def test_outliers_do_not_move_the_map(share: float) -> None:
    found = fit_trimmed(POINTS_MM, with_outliers(share), kept=0.5)
    # single steps of double precision on coordinates below 1000 mm
    torch.testing.assert_close(found.matrix, TRUE.matrix, atol=1e-6, rtol=0)


def test_keeping_all_matches_lets_outliers_move_the_map() -> None:
    found = fit_trimmed(POINTS_MM, with_outliers(0.4), kept=1.0)
    errors_mm = (found.apply(POINTS_MM) - TRUE.apply(POINTS_MM)).norm(dim=1)
    assert float(errors_mm.mean()) > 1.0


def test_too_few_matches_are_refused() -> None:
    with pytest.raises(DegeneratePointsError):
        fit_trimmed(POINTS_MM[:5], POINTS_MM[:5], kept=0.5)
