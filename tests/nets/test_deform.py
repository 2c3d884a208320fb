import pytest
import torch

from samereg.errors import UsageError
from samereg.nets.blocks import fold
from samereg.nets.build import CORRELATIONS, DEFORM_NETWORKS, build_deform
from samereg.ops.correlate import displacements

every_network = pytest.mark.parametrize("name", sorted(DEFORM_NETWORKS))
with_and_without = pytest.mark.parametrize("correlation", [True, False])


def inputs(shape=(64, 48, 56), seed=0):
    generator = torch.Generator().manual_seed(seed)
    cells = tuple(-(-n // 2) for n in shape)
    return torch.randn(1, 2, *shape, generator=generator), torch.randn(1, CORRELATIONS, *cells, generator=generator)


def build(name, *, correlation):
    torch.manual_seed(0)
    return build_deform(name, correlation=correlation)


@every_network
@with_and_without
@pytest.mark.parametrize("shape", [(64, 48, 56), (51, 49, 70)])
def test_a_field_stands_at_every_second_voxel_whatever_the_size(name, correlation, shape):
    images, table = inputs(shape)
    net = build(name, correlation=correlation)
    field = net(images, table if correlation else None)
    assert field.shape == (1, 3, *table.shape[2:])
    assert field.dtype == torch.float32


@every_network
def test_training_begins_near_the_identity(name):
    images, table = inputs()
    assert float(build(name, correlation=True)(images, table).detach().abs().max()) < 0.1


@every_network
def test_the_correlation_matters_where_it_is_taken(name):
    images, table = inputs()
    net = build(name, correlation=True)
    assert net.takes_correlation
    assert not torch.equal(net(images, table), net(images, 2 * table))
    assert not build(name, correlation=False).takes_correlation


@pytest.mark.parametrize(
    "name", ["vm-unet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("unet", "phnn"))]
)
def test_every_weight_learns(name):
    images, table = inputs()
    net = build(name, correlation=True)
    net(images, table).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)] == []


@every_network
def test_folding_changes_nothing(name):
    images, table = inputs()
    net = build(name, correlation=True).eval()
    before = net(images, table)
    fold(net)
    torch.testing.assert_close(net(images, table), before, atol=1e-5, rtol=1e-4)


def test_the_shipped_network_fits_eight_megabytes_in_half_precision():
    assert 2 * sum(p.numel() for p in build("phnn", correlation=True).parameters()) < 8_000_000


def test_voxelmorph_has_the_published_widths():
    net = build("vm-unet", correlation=False)
    widths = [m.weight.shape[0] for m in net.modules() if hasattr(m, "weight")]
    assert widths == [16, 32, 32, 32, 32, 32, 32, 32, 32, 16, 16, 3]


def test_the_correlation_has_the_papers_displacements():
    assert len(displacements(2, 2)) == CORRELATIONS


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match="phnn"):
        build_deform("resnet", correlation=True)
