import torch

from samereg.ops.sample import identity_grid, sample_grid
from samereg.training.augment import Appearance, vary_appearance
from samereg.training.views import Placement, in_mask, random_map, render_view

SHAPE = (40, 36, 44)
CENTRE = torch.tensor([30.0, 28.0, 33.0])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_maps_there_and_back_agree_to_a_hundredth_of_a_voxel():
    for seed in range(5):
        view = random_map(CENTRE, SHAPE, Placement(), generator(seed))
        points = torch.rand(200, 3, generator=generator(9)) * (torch.tensor(SHAPE) - 1)
        assert (view.from_scan(view.to_scan(points)) - points).norm(dim=1).max() < 0.01


def test_views_show_the_scan_where_the_map_says():
    smooth = torch.sin(identity_grid((60, 56, 66)) / 6).sum(-1)[None]
    view = random_map(CENTRE, SHAPE, Placement(), generator())
    rendered = render_view(smooth, view, background=0.0)
    points = torch.tensor([[12.0, 20.0, 31.0], [25.0, 11.0, 7.0]])
    expected = sample_grid(smooth[None], view.to_scan(points)[None])[0, 0]
    d, h, w = points.long().T
    assert torch.allclose(rendered[0, d, h, w], expected, atol=1e-4)


def test_beyond_the_scan_a_view_shows_background():
    view = random_map(torch.tensor([500.0, 500.0, 500.0]), SHAPE, Placement(), generator())
    assert torch.all(render_view(torch.zeros(1, 20, 20, 20), view) == -1.0)


def test_appearance_stays_in_range_and_follows_its_seed():
    image = torch.rand(1, 20, 21, 22, generator=generator()) * 2 - 1
    first, second = (vary_appearance(image, Appearance(), generator(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.abs().max() <= 1
    assert not torch.equal(first, vary_appearance(image, Appearance(), generator(4)))
    assert torch.equal(image, torch.rand(1, 20, 21, 22, generator=generator()) * 2 - 1)


def test_points_outside_the_array_are_not_in_the_mask():
    mask = torch.ones(3, 3, 3, dtype=torch.bool)
    points = torch.tensor([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0], [1.0, 3.0, 1.0]])
    assert in_mask(mask, points).tolist() == [True, False, False]
