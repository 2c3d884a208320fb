import torch

from samereg.objectives.contrastive import cosine_rows, cosine_table, info_nce, recall_at_one


def test_loss_is_the_cross_entropy_of_the_match():
    positive, negative = torch.tensor([0.9, 0.1]), torch.tensor([[0.2, 0.3], [0.5, -0.5]])
    allowed = torch.ones(2, 2, dtype=torch.bool)
    logits = torch.cat([positive[:, None], negative], 1) / 0.1
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(2, dtype=torch.long))
    assert torch.allclose(info_nce(positive, negative, allowed=allowed, temperature=0.1), expected)


def test_negatives_that_are_not_allowed_do_not_count():
    positive, negative = torch.tensor([0.5]), torch.tensor([[0.99, -1.0]])
    allowed = torch.tensor([[False, True]])
    alone = info_nce(positive, negative[:, 1:], allowed=allowed[:, 1:], temperature=0.07)
    assert torch.allclose(info_nce(positive, negative, allowed=allowed, temperature=0.07), alone)
    assert recall_at_one(positive, negative, allowed=allowed) == 1


def test_gradient_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    positive = torch.rand(3, dtype=torch.float64, generator=generator).requires_grad_()
    negative = torch.rand(3, 5, dtype=torch.float64, generator=generator).requires_grad_()
    allowed = torch.rand(3, 5, generator=generator) > 0.3
    assert torch.autograd.gradcheck(lambda p, n: info_nce(p, n, allowed=allowed, temperature=0.2), (positive, negative))


def test_cosines_of_rows_are_the_diagonal_of_the_table():
    rows = torch.nn.functional.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    other = rows.flip(0)
    assert torch.allclose(cosine_rows(rows, other), cosine_table(rows, other).diagonal(), atol=1e-6)
