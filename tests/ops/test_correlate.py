import pytest
import torch
from torch.nn import functional

from samereg.ops.correlate import correlate, displacements


def maps(shape=(1, 5, 4, 6, 19), dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(shape, generator=generator, dtype=dtype) for _ in range(2))


def by_shifting(fixed, moving, reach, step):
    """The definition, with a shifted copy of the moving map for each displacement."""
    padded = functional.pad(moving, (reach,) * 6)
    depth, height, width = fixed.shape[2:]
    channels = [
        (fixed * padded[:, :, reach + d :, reach + h :, reach + w :][:, :, :depth, :height, :width]).sum(1)
        for d, h, w in displacements(reach, step)
    ]
    return torch.stack(channels, 1)


@pytest.mark.parametrize(("reach", "step"), [(2, 2), (1, 1), (3, 3), (0, 1)])
def test_equals_the_products_with_shifted_copies(reach, step):
    fixed, moving = maps()
    found = correlate(fixed, moving, reach=reach, step=step)
    torch.testing.assert_close(found, by_shifting(fixed, moving, reach, step))


@pytest.mark.parametrize("width", [1, 15, 16, 17, 33])
def test_any_width_fits_the_tiles(width):
    fixed, moving = maps((2, 3, 2, 2, width))
    torch.testing.assert_close(correlate(fixed, moving), by_shifting(fixed, moving, 2, 2))


def test_channels_last_bfloat16_is_right_to_its_rounding():
    fixed, moving = maps((1, 32, 6, 6, 20), torch.float32)
    layout = {"dtype": torch.bfloat16, "memory_format": torch.channels_last_3d}
    found = correlate(fixed.to(**layout), moving.to(**layout))
    expected = by_shifting(fixed.bfloat16().double(), moving.bfloat16().double(), 2, 2)
    # sums are kept in single precision and rounded once, to 8 bits
    assert float((found.double() - expected).abs().max()) < 2**-8 * float(expected.abs().max())


def test_finds_a_shift():
    _, moving = maps((1, 8, 8, 8, 8))
    moving = functional.normalize(moving, dim=1)
    fixed = torch.roll(moving, (-2, 0, 2), (2, 3, 4))
    best = correlate(fixed, moving)[0, :, 4, 4, 4].argmax()
    assert displacements(2, 2)[int(best)] == (2, 0, -2)


def test_gradients_are_those_of_finite_differences():
    fixed, moving = (m.requires_grad_() for m in maps((1, 1, 2, 2, 3)))
    assert torch.autograd.gradcheck(correlate, (fixed, moving))


def test_a_map_that_needs_no_gradient_gets_none():
    fixed, moving = maps((1, 2, 3, 3, 4))
    fixed.requires_grad_()
    correlate(fixed, moving).sum().backward()
    assert fixed.grad is not None
    assert moving.grad is None
