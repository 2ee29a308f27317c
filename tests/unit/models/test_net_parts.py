"""The parts of nets against their definitions, written out slowly."""

import ast
from itertools import pairwise
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from quant_pipelines.models import MODEL_KINDS, Task
from quant_pipelines.models.failures import BadParameter
from quant_pipelines.models.neural.attention import ProbSparseAttention, most_uneven, picked, prob_sparse
from quant_pipelines.models.neural.embeddings import MOST_POSITIONS, PositionalEncoding
from quant_pipelines.models.neural.layers import GhostBatchNorm, sparsemax
from quant_pipelines.models.neural.nets.lstm import RecurrentNet
from quant_pipelines.models.neural.nets.patchtst import normalised, patches_of
from quant_pipelines.models.neural.nets.tcn import CausalConvolution, TemporalBlock
from quant_pipelines.models.neural.nets.tft import (
    ColumnLinear,
    GatedResidual,
    GatedSkip,
    InterpretableAttention,
    VariableSelection,
)
from quant_pipelines.models.neural.nets.timesnet import Inception, TimesBlock, periods_of
from quant_pipelines.models.neural.recurrence import Tape, last_state

ROOT = Path(__file__).parents[3]
CHANCE = np.random.default_rng(5)


def noise(*shape: int) -> torch.Tensor:
    return torch.from_numpy(CHANCE.standard_normal(shape).astype(np.float32))


def test_there_is_one_positional_encoding():
    """S0-20."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "quant_pipelines").rglob("*.py")]
    classes = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert [name for name in classes if "Position" in name and "Encoding" in name] == ["PositionalEncoding"]


def test_each_place_has_its_own_learned_vector_and_there_are_a_thousand():
    encoding = PositionalEncoding(8, 20)
    assert encoding.places.shape == (MOST_POSITIONS, 8) == (1000, 8)
    assert encoding.places.requires_grad
    sequence = noise(2, 20, 8)
    torch.testing.assert_close(encoding(sequence)[1, 7], sequence[1, 7] + encoding.places[7], rtol=0, atol=0)
    PositionalEncoding(8, 1000)
    with pytest.raises(BadParameter, match="1001 places"):
        PositionalEncoding(8, 1001)


def prob_sparse_slowly(queries, keys, values, top, *, causal):
    """Index by index (S0-16)."""
    batch, heads, length, width = queries.shape
    found = torch.empty(batch, heads, length, values.shape[-1])
    for row in range(batch):
        for head in range(heads):
            for place in range(length):
                seen = place + 1 if causal else keys.shape[2]
                if place in top[row, head].tolist():
                    scores = torch.stack([queries[row, head, place] @ keys[row, head, at] for at in range(seen)])
                    shares = (scores / sqrt(width)).softmax(0)
                else:
                    shares = torch.full((seen,), 1 / seen)
                found[row, head, place] = sum(shares[at] * values[row, head, at] for at in range(seen))
    return found


@pytest.mark.parametrize("causal", [False, True])
def test_prob_sparse_attention_is_what_it_is_index_by_index(causal):
    queries, keys, values = noise(2, 3, 9, 4), noise(2, 3, 9, 4), noise(2, 3, 9, 5)
    top = most_uneven(queries, keys[:, :, [1, 4, 8]], 4)
    assert top.shape == (2, 3, 4)
    found = prob_sparse(queries, keys, values, top, causal=causal)
    torch.testing.assert_close(found, prob_sparse_slowly(queries, keys, values, top, causal=causal))


def test_rows_are_picked_by_their_index_not_from_the_top():
    rows, places = noise(2, 3, 9, 4), torch.tensor([7, 2]).expand(2, 3, 2)
    torch.testing.assert_close(picked(rows, places), torch.stack([rows[:, :, 7], rows[:, :, 2]], 2))


def test_the_queries_kept_are_those_that_read_most_unevenly():
    queries, keys = noise(1, 1, 9, 4), noise(1, 1, 9, 4)
    queries[0, 0, 5] *= 50
    queries[0, 0, 2] *= 40
    assert set(most_uneven(queries, keys, 2).flatten().tolist()) == {2, 5}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_with_a_large_factor_it_is_full_attention(causal, training):
    queries, keys, values = noise(2, 2, 30, 8), noise(2, 2, 30, 8), noise(2, 2, 30, 8)
    found = ProbSparseAttention(100, causal=causal).train(training)(queries, keys, values)
    full = functional.scaled_dot_product_attention(queries, keys, values, is_causal=causal)
    torch.testing.assert_close(found, full, rtol=0, atol=1e-5)


def test_keys_are_sampled_from_the_seed_in_training_and_evenly_in_prediction():
    attention, memory = ProbSparseAttention(1), [noise(4, 2, 60, 8) for _ in range(3)]
    attention.train()
    drawn = []
    for seed in (1, 1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            drawn.append(attention(*memory))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    attention.eval()
    assert torch.equal(attention(*memory), attention(*memory))
    assert torch.equal(attention(*(each[2:] for each in memory)), attention(*memory)[2:])


@pytest.mark.parametrize("size", [(1, 20), (20, 1), (4, 5), (12, 8)])
def test_an_inception_block_is_the_mean_of_its_convolutions(size):
    block, image = Inception(3, 2, 6), noise(4, 3, *size)
    slowly = [
        functional.conv2d(image, kernel, bias, padding=kernel.shape[-1] // 2)
        for kernel, bias in zip(block.kernels, block.biases, strict=True)
    ]
    assert [kernel.shape[-1] for kernel in block.kernels] == [1, 3, 5, 7, 9, 11]
    torch.testing.assert_close(block(image), torch.stack(slowly).mean(0), rtol=1e-4, atol=1e-5)


def test_every_kernel_of_the_inception_block_learns():
    block = TimesBlock(4, 4, num_kernels=3, top_k=2)
    block(noise(5, 12, 4)).square().sum().backward()
    for part in (block.widen, block.narrow):
        assert all(kernel.grad is not None and kernel.grad.abs().sum() > 0 for kernel in part.kernels)


def two_sines(length: int) -> torch.Tensor:
    time = torch.arange(length)
    return (torch.sin(2 * torch.pi * time / 12) + 2 * torch.sin(2 * torch.pi * time / 32))[None, :, None]


def test_periods_are_those_of_the_series():
    """S0-22."""
    periods, strength = periods_of(two_sines(96), 2)
    assert periods.tolist() == [[32, 12]]
    assert strength[0, 0] > strength[0, 1] > 0


def test_each_row_has_its_own_periods():
    steady = torch.sin(2 * torch.pi * torch.arange(96) / 8)[None, :, None]
    periods, _ = periods_of(torch.cat((two_sines(96), 100 * steady)), 1)
    assert periods.tolist() == [[32], [8]]


def test_a_block_of_timesnet_folds_by_the_period():
    """One row and one period, folded by hand."""
    block, x = TimesBlock(2, 3, num_kernels=2, top_k=1), torch.cat((two_sines(30), 2 * two_sines(30)), 2)
    (period,) = periods_of(x, 1)[0][0].tolist()
    rows = -(-30 // period)
    image = torch.zeros(1, 2, rows, period)
    for at in range(30):
        image[0, :, at // period, at % period] = x[0, at]
    read = block.narrow(functional.gelu(block.widen(image)))
    slowly = torch.stack([read[0, :, at // period, at % period] for at in range(30)])[None]
    torch.testing.assert_close(block(x), x + slowly)


@pytest.mark.parametrize(("length", "size", "stride", "count"), [(96, 16, 8, 11), (20, 16, 8, 1), (10, 3, 2, 4)])
def test_patches_are_what_a_loop_would_cut(length, size, stride, count):
    """S0-21; the last patch ends with the last session."""
    series = noise(2, 3, length)
    found = patches_of(series, size, stride)
    slowly = [series[..., end - size : end] for end in range(length, size - 1, -stride)][::-1]
    assert found.shape == (2, 3, count, size)
    torch.testing.assert_close(found, torch.stack(slowly, 2), rtol=0, atol=0)


def test_a_normalised_window_has_mean_0_and_variance_1_and_a_constant_one_is_0():
    found = normalised(torch.cat((3 + 7 * noise(4, 2, 50), torch.full((4, 1, 50), 9.0)), 1))
    torch.testing.assert_close(found.mean(-1), torch.zeros(4, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(found[:, :2].var(-1, correction=0), torch.ones(4, 2), rtol=0, atol=1e-4)
    assert found[:, 2].abs().max() == 0


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    scores = noise(40, 7)
    found = sparsemax(scores)
    torch.testing.assert_close(found.sum(-1), torch.ones(40))
    assert found.min() >= 0
    assert (found == 0).any()
    corner = torch.eye(7)
    others = torch.cat((corner, noise(200, 7).softmax(-1)))
    for row, point in zip(scores, found, strict=True):
        assert (row - point).norm() <= (row - others).norm(dim=1).min() + 1e-6


def test_sparsemax_and_its_gradient_are_pyqlibs():
    from qlib.contrib.model.pytorch_tabnet import SparsemaxFunction

    ours, theirs = noise(30, 9).requires_grad_(), None
    theirs = ours.detach().clone().requires_grad_()
    slope = noise(30, 9)
    found, expected = sparsemax(ours), SparsemaxFunction.apply(theirs.clone())
    torch.testing.assert_close(found, expected)
    (found * slope).sum().backward()
    (expected * slope).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def recurrent(layers: int, hidden: int = 8, **chosen) -> nn.LSTM:
    return nn.LSTM(3, hidden, layers, batch_first=True, **chosen)


def gradients(rnn: nn.LSTM, state: torch.Tensor, x: torch.Tensor, slope: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad((state * slope).sum(), [x, *rnn.parameters()])


def assert_near(ours: tuple[torch.Tensor, ...], theirs: tuple[torch.Tensor, ...]) -> None:
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-3, atol=1e-4)


def assert_pytorchs(rnn: nn.LSTM, batch: int, length: int, tapes: list[Tape]) -> None:
    x, slope = (5 * noise(batch, length, 3)).requires_grad_(), noise(batch, rnn.hidden_size)
    ours, theirs = last_state(rnn, x, tapes), rnn(x)[0][:, -1]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert_near(gradients(rnn, ours, x, slope), gradients(rnn, theirs, x, slope))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("layers", "hidden", "length", "batch"),
    [(1, 8, 1, 1), (1, 8, 7, 5), (1, 1, 3, 2), (2, 64, 20, 33), (2, 64, 1, 1), (3, 13, 20, 30)],
)
def test_a_recurrence_and_its_gradient_are_pytorchs(layers, hidden, length, batch, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert_pytorchs(recurrent(layers, hidden), batch, length, [])
    finally:
        torch.set_num_threads(before)


def test_a_recurrence_needs_no_gradient_of_what_it_reads():
    rnn, x, slope = recurrent(2), noise(6, 4, 3), noise(6, 8)
    ours, theirs = (
        torch.autograd.grad((state * slope).sum(), list(rnn.parameters()))
        for state in (last_state(rnn, x, []), rnn(x)[0][:, -1])
    )
    assert_near(ours, theirs)


def test_batches_of_any_size_and_length_use_the_same_tape():
    rnn, tapes = recurrent(2), list[Tape]()
    for batch, length in ((9, 6), (4, 6), (9, 6), (12, 6), (3, 2), (1, 9)):
        assert_pytorchs(rnn, batch, length, tapes)
        assert len(tapes) == 1


def test_a_batch_that_went_wrong_leaves_nothing_behind():
    rnn, tapes, x = recurrent(2), list[Tape](), noise(9, 6, 3).requires_grad_()
    broken = torch.where(torch.arange(9)[:, None, None] == 2, torch.nan, x)
    state = last_state(rnn, broken, tapes)
    assert state[2].isnan().all()
    assert state[3:].isfinite().all()
    assert all(each.isnan().any() for each in gradients(rnn, state, x, noise(9, 8))[1:])
    assert_pytorchs(rnn, 9, 6, tapes)
    assert_pytorchs(rnn, 4, 6, tapes)


def test_batches_whose_gradients_are_open_share_no_memory():
    rnn, tapes, slope = recurrent(2), list[Tape](), noise(5, 8)
    assert_pytorchs(rnn, 5, 6, tapes)
    x = [noise(5, 6, 3).requires_grad_() for _ in range(2)]
    states = [last_state(rnn, each, tapes) for each in x]
    for each, state in zip(x, states, strict=True):
        assert_near(gradients(rnn, state, each, slope), gradients(rnn, rnn(each)[0][:, -1], each, slope))
    assert len(tapes) == 2


def test_a_gradient_that_is_asked_for_twice_is_refused():
    state = last_state(recurrent(1), noise(2, 3, 3), []).sum()
    state.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="asked for twice"):
        state.backward()


def test_a_net_keeps_the_memory_of_a_batch_until_it_is_judged():
    net = RecurrentNet(MODEL_KINDS["lstm"].settings(Task(), ("a", "b"), chosen={"lookback": 4})).train()
    for _ in range(2):
        net(noise(6, 4, 2)).sum().backward()
    assert len(net._tapes) == 1
    assert not net.eval()._tapes


def test_dropout_stands_between_the_layers_of_a_recurrence_and_not_after_them():
    x = noise(50, 4, 3)
    rnn = recurrent(2, dropout=0.9)
    state = last_state(rnn, x, [])
    assert (state != 0).all()
    assert not torch.equal(state, last_state(rnn, x, []))
    alone = recurrent(1)
    assert torch.equal(last_state(alone, x, []), last_state(alone, x, []))


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.99])
def test_dropout_drops_its_share_and_keeps_the_mean(dropout):
    rnn, tapes = recurrent(3, 30, dropout=dropout), list[Tape]()
    with torch.random.fork_rng():
        torch.manual_seed(4)
        last_state(rnn, noise(500, 20, 3), tapes).sum().backward()
    kept = tapes[0]._kept
    assert kept.unique().tolist() == pytest.approx([0, 1 / (1 - dropout)], rel=2e-3)
    for each in (kept[0], kept[1], kept[:, 3], kept[:, :, 7], kept[..., 29]):
        spread = sqrt(dropout / (1 - dropout) / each.numel())
        assert float(each.mean()) == pytest.approx(1, abs=4.5 * spread + 1e-3)
    # What one value is drawn as says nothing of the next one, of the next row, step or layer.
    away = kept - 1
    for one, other in (
        (away[..., 1:], away[..., :-1]),
        (away[:, :, 1:], away[:, :, :-1]),
        (away[:, 1:], away[:, :-1]),
        (away[1:], away[:-1]),
    ):
        together = float((one * other).mean()) / (dropout / (1 - dropout))
        assert abs(together) < 4.5 / sqrt(one.numel())


def test_a_recurrence_with_dropout_is_that_of_its_layers_with_the_same_values_dropped():
    rnn, tapes, slope = recurrent(3, dropout=0.4), list[Tape](), noise(7, 8)
    x = noise(7, 5, 3).requires_grad_()
    state = last_state(rnn, x, tapes)
    ours = gradients(rnn, state, x, slope)
    states, weights = x, list(rnn.parameters())
    for place, kept in enumerate((*tapes[0]._kept, torch.ones(5, 7, 8))):
        alone = nn.LSTM(states.shape[2], 8, batch_first=True)
        own = dict(zip(dict(alone.named_parameters()), weights[4 * place :], strict=False))
        states = functional_call(alone, own, states)[0] * kept.transpose(0, 1)
    torch.testing.assert_close(state, states[:, -1], rtol=1e-4, atol=1e-5)
    assert_near(ours, gradients(rnn, states[:, -1], x, slope))


def test_ghost_batch_norm_normalises_part_by_part():
    ghost, x = GhostBatchNorm(3, 4), noise(10, 3)
    parts = [nn.BatchNorm1d(3)(part) for part in x.tensor_split(3)]
    torch.testing.assert_close(ghost.train()(x), torch.cat(parts))
    # Never a row that no part has: 10 rows are 4, 3 and 3.
    assert [stop - start for start, stop in pairwise((0, 4, 7, 10))] == [len(part) for part in parts]
    assert ghost(x[:1]).isfinite().all()
    ghost.eval()
    torch.testing.assert_close(ghost(x[2:3]), ghost(x)[2:3])


def convolved_slowly(convolution, x):
    """Place by place: a kernel of its learned length, on what stands there and before it."""
    direction, found = convolution.direction, torch.zeros(len(x), len(convolution.bias), x.shape[-1])
    kernel_size = direction.shape[-1]
    for channel, length in enumerate(convolution.length):
        kernel = direction[channel] / direction[channel].norm() * length
        for place in range(x.shape[-1]):
            for back in range(min(kernel_size, place + 1)):
                found[:, channel, place] += x[:, :, place - back] @ kernel[:, kernel_size - 1 - back]
        found[:, channel] += convolution.bias[channel]
    return found


@pytest.mark.parametrize("kernel_size", [1, 3, 9])
def test_a_causal_convolution_is_what_it_is_place_by_place(kernel_size):
    convolution, x = CausalConvolution(3, 4, kernel_size), noise(5, 3, 6)
    nn.init.uniform_(convolution.length)
    torch.testing.assert_close(convolution(x), convolved_slowly(convolution, x))


def test_normalising_a_kernel_does_not_change_the_one_it_was_made_of():
    convolution = CausalConvolution(3, 4, 2)
    x = noise(5, 3, 6)
    torch.testing.assert_close(
        convolution(x)[:, :, 1:], functional.conv1d(x, convolution.direction, convolution.bias), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("changed", range(6))
def test_a_later_place_does_not_change_what_a_block_makes_of_an_earlier_one(changed):
    block, x = TemporalBlock(3, 4, 3, 0.5).eval(), noise(5, 3, 6)
    later = torch.cat((x[:, :, :changed], noise(5, 3, 6 - changed)), 2)
    assert torch.equal(block(later)[:, :, :changed], block(x)[:, :, :changed])


def gated_slowly(add, given, made):
    """Lim et al. (2) and (5), the halves of the gate written out."""
    value, gate = add.gate(made).chunk(2, -1)
    return (
        functional.layer_norm(given + value * torch.sigmoid(gate), given.shape[-1:]) * add.norm.weight + add.norm.bias
    )


def test_a_gate_adds_what_it_lets_through_and_normalises():
    add, given, made = GatedSkip(3, 5, 0.3).eval(), noise(7, 5), noise(7, 3)
    torch.testing.assert_close(add(given, made), gated_slowly(add, given, made))


def test_a_gated_residual_is_the_published_one():
    """Lim et al. (2) to (5), without a context."""
    net, x = GatedResidual(5, 4, 3, 0.3).eval(), noise(7, 5)
    torch.testing.assert_close(net(x), gated_slowly(net.add, net.skip(x), net.second(functional.elu(net.first(x)))))
    assert isinstance(GatedResidual(5, 4, 5, 0.3).skip, nn.Identity)


def test_the_nets_of_all_columns_are_one_net_each():
    together, x = GatedResidual(2, 4, 3, 0.3, columns=6).eval(), noise(6, 9, 2)
    for column in range(6):
        alone = GatedResidual(2, 4, 3, 0.3).eval()
        for name, each in together.named_parameters():
            part = each.detach()[column]
            if each.shape[1] == 1:
                part = part[0]
            elif name.endswith("weight"):
                part = part.t()
            alone.get_parameter(name).data.copy_(part)
        torch.testing.assert_close(together(x)[column], alone(x[column]))


def test_columns_are_read_as_the_published_network_reads_their_vectors():
    """A linear layer of a linear layer is one: the vectors that it makes of numbers need not be made."""
    select = VariableSelection(6, 4, 0.1).eval()
    vector, offset, inner = noise(6, 1, 4), noise(6, 1, 4), ColumnLinear(6, 4, 4)
    read = select.read
    read.skip.weight.data, read.skip.bias.data = vector, offset
    read.first.weight.data, read.first.bias.data = vector @ inner.weight, inner(offset)
    x = noise(600, 6)
    embedded = x.t().unsqueeze(-1) * vector + offset
    made = read.add(embedded, read.second(functional.elu(inner(embedded))))
    weights = select.choose(x).softmax(1)
    slowly = sum(weights[:, column, None] * made[column] for column in range(6))
    torch.testing.assert_close(select(x), slowly, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights.sum(1), torch.ones(600))


def test_heads_share_what_they_see_and_their_attention_is_the_mean_of_theirs():
    """Lim et al. (14) to (16), with nothing later than the session that reads."""
    net, x = InterpretableAttention(8, 2), noise(3, 5, 8)
    queries, keys = net.query(x), net.key(x)
    shares = torch.zeros(3, 5, 5)
    for head in (slice(0, 4), slice(4, 8)):
        for place in range(5):
            scores = torch.einsum("bw,blw->bl", queries[:, place, head], keys[:, : place + 1, head]) / 2
            shares[:, place, : place + 1] += scores.softmax(-1) / 2
    torch.testing.assert_close(shares.sum(-1), torch.ones(3, 5))
    torch.testing.assert_close(net(x), net.out(shares @ net.value(x)))
