import torch

from samereg.nets.build import compact
from samereg.training.batches import PairBatch
from samereg.training.contrast import Contrast, ContrastiveModel


def batch_of(images: torch.Tensor, anchors: torch.Tensor) -> PairBatch:
    pool = torch.rand(150, 3, generator=torch.Generator().manual_seed(2)) * 47
    return PairBatch(images=images, anchors=anchors, pools=(pool,) * len(images), precise=True)


def test_identical_views_are_matched_perfectly():
    torch.manual_seed(0)
    model = ContrastiveModel(compact(), Contrast(), torch.float32)
    image = torch.randn(1, 1, 48, 48, 48).repeat(2, 1, 1, 1, 1)
    anchors = torch.rand(1, 20, 3).repeat(2, 1, 1) * 47
    loss = model(batch_of(image, anchors), torch.randn(2, 20, Contrast().rings, 3))
    assert loss.global_recall == 1
    assert loss.local_recall == 1


def test_every_parameter_receives_a_gradient():
    torch.manual_seed(0)
    model = ContrastiveModel(compact(), Contrast(), torch.float32)
    loss = model(
        batch_of(torch.randn(4, 1, 48, 48, 48), torch.rand(4, 20, 3) * 47),
        torch.randn(4, 20, Contrast().rings, 3),
    )
    loss.total.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
