from dataclasses import replace

import pytest
import torch

from samereg.estimate.aligned import AlignedScans, align_scans
from samereg.estimate.flow import faded, flow_of
from samereg.estimate.instance import InstanceLevel, InstanceSettings, optimise_velocity
from samereg.geometry.affine import Affine
from samereg.geometry.fields import jacobian_determinant_mm
from samereg.geometry.grid import axis_aligned_grid, strided, voxel_centres_mm
from samereg.geometry.volume import Volume
from samereg.ops.fields import exponential, jacobian_determinant
from samereg.ops.filters import gaussian_smooth
from samereg.ops.sample import identity_grid, upsample_aligned, warp

SHAPE = (48, 44, 52)
SETTINGS = InstanceSettings(
    levels=(
        InstanceLevel(lattice_cells=4, image_stride=2, window_radius=2, steps=25, rate_cells=0.15),
        InstanceLevel(lattice_cells=2, image_stride=1, window_radius=2, steps=10, rate_cells=0.1),
    ),
    windows_hu=((-800.0, 400.0),),
    smoothness=0.05,
    volume=0.0,
    tolerance=0.0,
)


def bump(amplitude_cells=1.5):
    """A smooth velocity at the cells that fades towards the border."""
    cells = tuple(n // 2 for n in SHAPE)
    points = identity_grid(cells)
    middle = (torch.tensor(cells) - 1) / 2
    height = amplitude_cells * torch.exp(-0.5 * ((points - middle) / 5.0).square().sum(-1))
    return torch.stack([height, -0.5 * height, 0.7 * height])[None]


def scans(velocity=None):
    """Texture, and the same pulled back by a known flow, so that the flow brings the two together."""
    noise = torch.randn(1, 6, *SHAPE, generator=torch.Generator().manual_seed(0))
    moved = gaussian_smooth(noise, (3.0, 3.0, 3.0))
    moved = 0.4 * moved / moved.std()
    flow = exponential(velocity if velocity is not None else torch.zeros_like(bump()), squarings=6)
    fixed = warp(moved, 2 * upsample_aligned(flow, SHAPE), clamp=True)
    features = [torch.nn.functional.normalize(x[0, :, ::2, ::2, ::2], dim=0) for x in (fixed, moved)]
    return AlignedScans(
        grid=axis_aligned_grid(SHAPE, (2.0, 2.0, 2.0)),
        fixed=fixed[0, :1],
        moved=moved[0, :1],
        fixed_features=features[0],
        moved_features=features[1],
        seen=torch.ones(1, *SHAPE),
        log_volume=torch.zeros(1, *features[0].shape[1:]),
    )


BODY = torch.ones(1, *SHAPE)


def error_cells(found, velocity):
    """Mean distance between two flows where the known one moves."""
    first, second = (exponential(v, squarings=6) for v in (found, velocity))
    moving = second.norm(dim=1) > 0.3
    return float((first - second).norm(dim=1)[moving].mean())


def test_finds_a_known_flow():
    known = bump()
    found = optimise_velocity(scans(known), BODY, settings=SETTINGS)
    before = error_cells(torch.zeros_like(known), known)
    # a third of a cell, 1.3 mm, is half a voxel of the texture compared
    assert error_cells(found.velocity, known) < min(0.33, 0.5 * before)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [replace(SETTINGS, embedding=0.0), replace(SETTINGS, embedding=3.0)])
def test_finds_it_with_and_without_embeddings(settings):
    known = bump()
    found = optimise_velocity(scans(known), BODY, settings=settings)
    assert error_cells(found.velocity, known) < 0.7 * error_cells(torch.zeros_like(known), known)


CONTEXT_ALONE = replace(SETTINGS, ncc=0.0, embedding=0.0, context=20.0)


def test_finds_it_by_self_similarity_alone():
    known = bump()
    found = optimise_velocity(scans(known), BODY, settings=CONTEXT_ALONE)
    assert error_cells(found.velocity, known) < 0.5 * error_cells(torch.zeros_like(known), known)


@pytest.mark.slow
def test_self_similarity_does_not_mind_another_contrast():
    known = bump()
    seen = scans(known)
    negative = replace(seen, moved=-0.5 * seen.moved)
    found = optimise_velocity(negative, BODY, settings=CONTEXT_ALONE)
    assert error_cells(found.velocity, known) < 0.5 * error_cells(torch.zeros_like(known), known)


def test_scans_that_agree_stay_where_they_are():
    # a floor of the variance that is not far below the texture's would pay for moving to where there is more of it
    found = optimise_velocity(scans(), BODY, settings=replace(SETTINGS, tolerance=1e-4, noise=1e-5))
    assert float(found.velocity.abs().max()) < 0.2
    assert found.outcome.converged
    assert found.outcome.iterations < sum(level.steps for level in SETTINGS.levels)


def test_two_runs_agree_to_the_bit():
    few = replace(SETTINGS, levels=tuple(replace(level, steps=3) for level in SETTINGS.levels))
    first, second = (optimise_velocity(scans(bump()), BODY, settings=few).velocity for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.slow
def test_stiffer_settings_give_a_smoother_field():
    soft, stiff = (
        optimise_velocity(scans(bump(3.0)), BODY, settings=replace(SETTINGS, smoothness=s)).velocity
        for s in (0.01, 2.0)
    )
    assert float(stiff.diff(dim=2).square().mean()) < 0.5 * float(soft.diff(dim=2).square().mean())


@pytest.mark.slow
def test_the_flow_folds_nowhere_even_when_barely_held():
    wild = replace(SETTINGS, smoothness=0.0, levels=tuple(replace(level, rate_cells=0.5) for level in SETTINGS.levels))
    noise = replace(scans(), moved=torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1)))
    found = optimise_velocity(noise, BODY, settings=wild)
    assert float(jacobian_determinant_mm(faded(found.velocity, noise.grid)).min()) < 0
    flow, outcome = flow_of(found.velocity, noise.grid)
    assert outcome.converged
    assert float(jacobian_determinant_mm(flow.displacement).min()) > 0


def test_what_nobody_sees_does_not_pull():
    known = bump()
    found = optimise_velocity(scans(known), torch.zeros_like(BODY), settings=SETTINGS)
    assert float(found.velocity.abs().max()) < 1e-3


def test_an_uneven_change_of_volume_is_evened_out():
    bumps = torch.zeros(1, 24, 22, 26)
    bumps[:, 8:14, 8:14, 8:14] = 0.5
    settings = replace(SETTINGS, volume=5.0, smoothness=0.01, embedding=0.0)
    found = optimise_velocity(replace(scans(), log_volume=bumps), BODY, settings=settings)
    flow = exponential(found.velocity, squarings=6)
    assert float(jacobian_determinant(flow)[:, 9:13, 9:13, 9:13].mean()) < 0.9


def volume(data):
    return Volume(data=data, grid=axis_aligned_grid(SHAPE, (2.0, 2.0, 2.0)), background=-1.0)


def test_bringing_together_by_a_shift_moves_image_and_embeddings_alike():
    still = scans()
    start = Affine.from_parts(torch.eye(3, dtype=torch.float64), torch.tensor([4.0, 0.0, -8.0], dtype=torch.float64))
    features = (still.fixed_features, still.fixed_features)
    found = align_scans(volume(still.fixed), volume(still.fixed), features, start)
    # 4 mm along x are two voxels or one cell along w; -8 mm along z four voxels or two cells along d
    torch.testing.assert_close(found.moved[:, 4:, :, :-2], still.fixed[:, :-4, :, 2:], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        found.moved_features[:, 2:, :, :-1], still.fixed_features[:, :-2, :, 1:], atol=1e-5, rtol=0
    )
    assert bool((found.moved[:, :3] == -1).all())
    torch.testing.assert_close(found.log_volume, torch.zeros_like(found.log_volume), atol=1e-4, rtol=0)
    assert float(found.seen.mean()) == pytest.approx((1 - 4 / 48) * (1 - 2 / 52))


def test_a_field_fades_to_nothing_beyond_the_scan():
    grid = axis_aligned_grid(SHAPE, (2.0, 2.0, 2.0))
    field = faded(torch.ones(1, 3, 24, 22, 26), grid)
    inside = voxel_centres_mm(strided(grid, 2))
    torch.testing.assert_close(field.apply(inside), inside + 4.0, atol=1e-4, rtol=0)
    assert float(field.data[:, 0].abs().max()) == 0
    assert float(jacobian_determinant_mm(field).min()) > 0.5
