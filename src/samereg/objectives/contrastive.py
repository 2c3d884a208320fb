"""Contrastive losses on unit-length embeddings: rows in, scalars out; no volumes, no millimetres."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def info_nce(
    positive: Float[Tensor, " n"],
    negative: Float[Tensor, "n m"],
    *,
    allowed: Bool[Tensor, "n m"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of finding each query's match among its negatives.

    `-log(exp(p / t) / (exp(p / t) + sum_j exp(n_j / t)))` (van den Oord et al. 2018, eq. 4; SAM, eq. 1).
    The softmax weighs the hardest negatives most, so a large pool needs no mining.

    Args:
        positive: cosine of each query with its match.
        negative: cosine of each query with every negative.
        allowed: False for negatives too close to the match.
        temperature: smaller values emphasise hard negatives.
    """
    logits = negative.masked_fill(~allowed, -torch.inf) / temperature
    match = positive[:, None] / temperature
    return (torch.logsumexp(torch.cat([match, logits], 1), 1) - match[:, 0]).mean()


def cosine_rows(first: Float[Tensor, "n e"], second: Float[Tensor, "n e"]) -> Float[Tensor, " n"]:
    """Cosine of each row with its partner, for unit-length rows, single precision."""
    return (first.float() * second.float()).sum(1)


def cosine_table(first: Float[Tensor, "n e"], second: Float[Tensor, "m e"]) -> Float[Tensor, "n m"]:
    """Cosine of every row with every other, for unit-length rows, single precision."""
    return (first @ second.T).float()


def recall_at_one(
    positive: Float[Tensor, " n"], negative: Float[Tensor, "n m"], *, allowed: Bool[Tensor, "n m"]
) -> Float[Tensor, ""]:
    """Fraction of queries whose match is more similar than all allowed negatives."""
    best = negative.masked_fill(~allowed, -torch.inf).amax(1)
    return (positive > best).float().mean()
