"""Attention with several heads: over all keys, or in full for the few queries that matter (ProbSparse)."""

from math import ceil, log, sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional


class FullAttention(nn.Module):
    """Every query reads every key; `causal`, those up to its own place."""

    def __init__(self, *, causal: bool = False) -> None:
        super().__init__()
        self.causal = causal

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(queries, keys, values, is_causal=self.causal)


class ProbSparseAttention(nn.Module):
    """The Informer's: `factor` x log(length) queries read all keys, the others get the mean of what they may read.

    Queries are chosen by how unevenly they read a sample of the keys. The sample is drawn anew at each step of a
    training, from its seed; in prediction it is the same evenly spaced keys each time. All queries share one sample
    (the paper draws one for each), so that measuring is one product of matrices and no copy of the keys per query.
    """

    def __init__(self, factor: int, *, causal: bool = False) -> None:
        super().__init__()
        self.factor, self.causal = factor, causal

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        chosen = self._few(queries.shape[2])
        if chosen == queries.shape[2]:
            top = torch.arange(chosen, device=queries.device).expand(*queries.shape[:2], chosen)
        else:
            top = most_uneven(queries, keys[:, :, self._sample(keys.shape[2], keys.device)], chosen)
        return prob_sparse(queries, keys, values, top, causal=self.causal)

    def _few(self, length: int) -> int:
        return min(max(self.factor * ceil(log(length)), 1), length)

    def _sample(self, length: int, device: torch.device) -> Tensor:
        count = self._few(length)
        if self.training:
            return torch.randint(length, (count,), device=device)
        return torch.arange(count, device=device) * length // count


@torch.no_grad()
def most_uneven(queries: Tensor, sampled_keys: Tensor, count: int) -> Tensor:
    """(batch x heads x count): places of the queries whose largest score stands out most from their mean."""
    scores = queries @ sampled_keys.transpose(-2, -1)
    return (scores.amax(-1) - scores.mean(-1)).topk(count, sorted=False).indices


def prob_sparse(queries: Tensor, keys: Tensor, values: Tensor, top: Tensor, *, causal: bool) -> Tensor:
    """Queries at the places `top` attend; each other gets the mean value of the places that it may read."""
    scores = picked(queries, top) @ keys.transpose(-2, -1) / sqrt(queries.shape[-1])
    if causal:
        later = torch.arange(keys.shape[2], device=keys.device) > top.unsqueeze(-1)
        scores = scores.masked_fill(later, -torch.inf)
    read = scores.softmax(-1).to(values.dtype) @ values
    return _mean_values(queries, values, causal=causal).scatter(2, _along(top, read), read)


def picked(rows: Tensor, places: Tensor) -> Tensor:
    """(batch x heads x count x width): the rows at these places, by index (S0-16)."""
    return rows.gather(2, _along(places, rows))


def _along(places: Tensor, like: Tensor) -> Tensor:
    return places.unsqueeze(-1).expand(*places.shape, like.shape[-1])


def _mean_values(queries: Tensor, values: Tensor, *, causal: bool) -> Tensor:
    if not causal:
        return values.mean(2, keepdim=True).expand(*queries.shape[:3], values.shape[-1])
    # The published code adds up and does not divide; a mean is what attention to all alike would give.
    count = torch.arange(1, values.shape[2] + 1, device=values.device).unsqueeze(-1)
    return (values.cumsum(2) / count).to(values.dtype)


class MultiHead(nn.Module):
    """Projects to heads, lets each attend, and projects back."""

    def __init__(self, attention: nn.Module, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.attention, self.n_heads = attention, n_heads
        self.query, self.key, self.value = (nn.Linear(d_model, d_model) for _ in range(3))
        self.out = nn.Linear(d_model, d_model)

    def forward(self, sequence: Tensor, memory: Tensor) -> Tensor:
        parts = self.query(sequence), self.key(memory), self.value(memory)
        read = self.attention(*(each.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for each in parts))
        return self.out(read.transpose(1, 2).flatten(2))
