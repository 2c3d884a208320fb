import torch
from torch.nn import functional

from samereg.objectives.similarity import embedding_similarity, local_ncc, masked_mean


def images(shape=(1, 1, 6, 7, 8)):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(2))


def by_window(fixed, moved, radius, noise, at):
    """The definition at one voxel."""
    window = tuple(slice(max(0, i - radius), i + radius + 1) for i in at)
    f, m = fixed[0, 0][window], moved[0, 0][window]
    covariance = ((f - f.mean()) * (m - m.mean())).mean()
    return covariance**2 / ((f.var(unbiased=False) + noise) * (m.var(unbiased=False) + noise))


def test_is_the_squared_correlation_of_every_window():
    fixed, moved = images()
    found = local_ncc(fixed, moved, radius=2, noise=0.01)[0, 0]
    for at in ((3, 3, 3), (0, 0, 0), (5, 6, 7), (0, 3, 7)):
        torch.testing.assert_close(found[at], by_window(fixed, moved, 2, 0.01, at))


def test_does_not_see_brightness_and_contrast():
    fixed, _ = images()
    assert float(local_ncc(fixed, 5.0 - 3.0 * fixed, radius=2, noise=0.0).min()) > 1 - 1e-9


def test_windows_without_structure_count_little():
    fixed, _ = images()
    assert float(local_ncc(0.01 * fixed, 0.01 * fixed, radius=2).max()) < 0.05


def test_gradient_of_the_correlation_is_that_of_finite_differences():
    fixed, moved = images((2, 2, 4, 5, 4))
    moved.requires_grad_()
    assert torch.autograd.gradcheck(lambda m: local_ncc(fixed, m, radius=1, noise=0.1), (moved,))


def test_gradient_of_the_embedding_similarity_is_that_of_finite_differences():
    fixed, moved = (m.requires_grad_() for m in images((1, 3, 3, 3, 3)))
    assert torch.autograd.gradcheck(embedding_similarity, (fixed, moved))


def test_equal_embeddings_of_unit_length_are_as_alike_as_can_be():
    fixed, _ = images((1, 8, 3, 3, 3))
    unit = functional.normalize(fixed, dim=1)
    torch.testing.assert_close(embedding_similarity(unit, unit), torch.ones(1, 1, 3, 3, 3, dtype=torch.float64))


def test_means_count_the_mask_alone():
    values = torch.arange(8.0).view(1, 1, 2, 2, 2)
    mask = (values > 5).float()
    assert float(masked_mean(values, mask)) == 6.5
    assert float(masked_mean(values, torch.zeros_like(mask))) == 0.0
