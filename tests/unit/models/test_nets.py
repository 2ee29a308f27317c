"""Each net: what its defaults build, and the public definitions that it agrees with."""

import pytest
import torch
from torch import nn

from quant_pipelines.models import MODEL_KINDS, ModelSettings, Task
from quant_pipelines.models.failures import BadParameter
from quant_pipelines.models.neural.forecaster import NeuralForecaster
from quant_pipelines.models.neural.layers import sparsemax
from quant_pipelines.models.neural.net import Net
from quant_pipelines.models.neural.nets.informer import Informer
from quant_pipelines.models.neural.nets.lstm import RecurrentNet
from quant_pipelines.models.neural.nets.mlp import FeedForwardNet
from quant_pipelines.models.neural.nets.patchtst import PatchTST
from quant_pipelines.models.neural.nets.tabnet import FeatureTransformer, TabNet
from quant_pipelines.models.neural.nets.tcn import TemporalConvolutions
from quant_pipelines.models.neural.nets.tft import TemporalFusionTransformer
from quant_pipelines.models.neural.nets.timesnet import TimesNet
from quant_pipelines.models.neural.nets.transformer import Transformer

NETS: dict[str, type[Net]] = {
    "mlp": FeedForwardNet,
    "lstm": RecurrentNet,
    "transformer": Transformer,
    "informer": Informer,
    "timesnet": TimesNet,
    "patchtst": PatchTST,
    "tabnet": TabNet,
    "tcn": TemporalConvolutions,
    "tft": TemporalFusionTransformer,
}
SMALL = {
    "mlp": {"hidden_size": 8},
    "lstm": {"hidden_size": 8, "lookback": 5},
    "transformer": {"d_model": 8, "n_heads": 2, "num_layers": 2, "seq_len": 5},
    "informer": {"d_model": 8, "n_heads": 2, "seq_len": 7, "label_len": 2, "factor": 1},
    "timesnet": {"d_model": 4, "d_ff": 4, "num_kernels": 2, "seq_len": 6},
    "patchtst": {"d_model": 8, "n_heads": 2, "num_layers": 1, "seq_len": 8, "patch_len": 4, "stride": 2},
    "tabnet": {},
    "tcn": {"n_chans": 8, "kernel_size": 3, "num_layers": 3, "seq_len": 7},
    "tft": {"d_model": 8, "n_heads": 2, "seq_len": 5},
}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(11)
        yield


def settings_of(kind: str, *, task: Task | None = None, columns: int = 3, **chosen) -> ModelSettings:
    names = tuple(f"c{at}" for at in range(columns))
    return MODEL_KINDS[kind].settings(task or Task(outputs=2), names, chosen=chosen)


def built(kind: str, **chosen) -> Net:
    """By the defaults, without memory."""
    with torch.device("meta"):
        return NETS[kind](settings_of(kind, **chosen))


def dropouts(net: nn.Module) -> set[float]:
    return {each.p for each in net.modules() if isinstance(each, nn.Dropout)}


def test_every_net_of_the_zoo_is_made_of_the_net_of_its_name():
    for kind, net in NETS.items():
        spec = MODEL_KINDS[kind]
        made = spec.make(settings_of(kind), None)
        assert isinstance(made, NeuralForecaster)
        assert made._make is net
        assert made._spec is spec


def test_the_mlp_carries_its_defaults():
    net = built("mlp")
    assert net.layers[0].weight.shape == (512, 3)
    assert dropouts(net) == {0.1}


def test_the_lstm_carries_its_defaults():
    net = built("lstm")
    assert (net.rnn.hidden_size, net.rnn.num_layers, net.rnn.dropout) == (64, 2, 0.1)
    assert settings_of("lstm").length == 20


def test_the_transformer_carries_its_defaults():
    """S2-60, S2-67."""
    net = built("transformer")
    layer = net.encoder.layers[0]
    assert (layer.self_attn.embed_dim, layer.self_attn.num_heads, len(net.encoder.layers)) == (64, 8, 3)
    assert layer.self_attn.batch_first
    assert dropouts(net) == {0.1, 0.0}
    assert net.embed.positions.places.shape == (1000, 64)
    assert settings_of("transformer").length == 20


def test_the_informer_carries_its_defaults():
    """S2-61, S2-68."""
    net = built("informer")
    assert (len(net.encoder), len(net.decoder), len(net.distils)) == (2, 1, 1)
    assert net.encoder[0].attend.n_heads == 8
    assert net.encoder[0].attend.attention.factor == net.decoder[0].attend.attention.factor == 3
    assert (net.encoder[0].attend.attention.causal, net.decoder[0].attend.attention.causal) == (False, True)
    assert (net.label_len, net.places, net.out.in_features) == (30, 2, 64)
    assert settings_of("informer").length == 60
    assert dropouts(net) == {0.1}
    assert len(built("informer", distil=False).distils) == 0


def test_timesnet_carries_its_defaults():
    """S2-62."""
    net = built("timesnet")
    assert len(net.blocks) == 2
    assert (len(net.blocks[0].widen.kernels), net.blocks[0].top_k) == (6, 2)
    assert net.blocks[0].widen.kernels[0].shape == (64, 64, 1, 1)
    assert settings_of("timesnet").length == 20
    assert dropouts(net) == {0.1}


def test_patchtst_carries_its_defaults():
    """S2-63: 11 patches."""
    net = built("patchtst")
    assert (net.patch_len, net.stride, net.patches) == (16, 8, 11)
    assert (net.encoder.layers[0].self_attn.embed_dim, net.encoder.layers[0].self_attn.num_heads) == (64, 8)
    assert len(net.encoder.layers) == 3
    assert settings_of("patchtst").length == 96
    assert dropouts(net) == {0.1}


def test_tabnet_carries_its_defaults():
    net = built("tabnet")
    assert (net.n_d, len(net.attend), len(net.read), len(net.shared), len(net.read[0].own)) == (8, 3, 4, 2, 2)
    assert (net.gamma, net.sparsity, net.norm.size) == (1.3, 0.001, 128)
    assert net.attend[0].linear.in_features == 8
    assert dropouts(net) == {0.0}


def test_the_tcn_carries_its_defaults():
    net = built("tcn")
    assert [tuple(each.first.direction.shape) for each in net.blocks] == [(128, 3, 5), *[(128, 128, 5)] * 4]
    assert settings_of("tcn").length == 20
    assert dropouts(net) == {0.5}


def test_the_tft_carries_its_defaults():
    net = built("tft")
    assert (net.rnn.hidden_size, net.rnn.num_layers, net.attend.n_heads) == (16, 1, 4)
    assert settings_of("tft").length == 20
    assert dropouts(net) == {0.1}


@pytest.mark.parametrize("task", [Task(), Task(outputs=6), Task(kind="classes", outputs=3)], ids=str)
@pytest.mark.parametrize("kind", NETS)
def test_a_net_takes_any_task_and_a_single_row(kind, task):
    settings = settings_of(kind, task=task, **SMALL[kind])
    net = NETS[kind](settings).train()
    assert net(torch.randn(5, settings.length, 3)).shape == (5, task.outputs)
    net(torch.randn(1, settings.length, 3)).sum().backward()
    assert all(each.grad is None or each.grad.isfinite().all() for each in net.parameters())


@pytest.mark.parametrize("kind", NETS)
def test_every_weight_of_a_net_is_used(kind):
    settings = settings_of(kind, **SMALL[kind])
    net = NETS[kind](settings).train()
    net(torch.randn(64, settings.length, 3)).square().sum().backward()
    assert [name for name, each in net.named_parameters() if each.grad is None] == []


@pytest.mark.parametrize(
    ("kind", "chosen", "told"),
    [
        ("transformer", {"n_heads": 5}, "5 heads cannot share"),
        ("informer", {"n_heads": 5}, "5 heads cannot share"),
        ("patchtst", {"n_heads": 5}, "5 heads cannot share"),
        ("tft", {"n_heads": 5}, "5 heads cannot share"),
        ("patchtst", {"seq_len": 12}, "patch_len is 16, but a window has 12"),
        ("informer", {"seq_len": 20}, "label_len is 30, but a window has 20"),
        ("timesnet", {"seq_len": 3}, "top_k is 2, but 3 sessions have 1"),
        ("transformer", {"seq_len": 1001}, "<= 1000"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused_before_training(kind, chosen, told):
    with pytest.raises(BadParameter, match=told):
        MODEL_KINDS[kind].make(settings_of(kind, **chosen), None)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")  # theirs is not batch-first
def test_the_transformer_is_pyqlibs_with_learned_positions():
    from qlib.contrib.model.pytorch_transformer_ts import Transformer as Theirs

    ours = Transformer(settings_of("transformer", task=Task(), **SMALL["transformer"])).eval()
    theirs = Theirs(d_feat=3, d_model=8, nhead=2, num_layers=2, dropout=0.1).eval()
    theirs.pos_encoder.pe = ours.embed.positions.places.detach()[:, None]
    theirs.feature_layer.load_state_dict(ours.embed.project.state_dict())
    theirs.transformer_encoder.load_state_dict(ours.encoder.state_dict())
    theirs.decoder_layer.load_state_dict(ours.out.state_dict())
    x = torch.randn(9, 5, 3)
    torch.testing.assert_close(ours(x)[:, 0], theirs(x), rtol=1e-5, atol=1e-5)


def test_the_lstm_is_pyqlibs():
    from qlib.contrib.model.pytorch_lstm_ts import LSTMModel

    ours = RecurrentNet(settings_of("lstm", task=Task(), **SMALL["lstm"])).eval()
    theirs = LSTMModel(d_feat=3, hidden_size=8, num_layers=2).eval()
    theirs.rnn.load_state_dict(ours.rnn.state_dict())
    theirs.fc_out.load_state_dict(ours.out.state_dict())
    x = torch.randn(9, 5, 3)
    torch.testing.assert_close(ours(x)[:, 0], theirs(x))


def test_tabnets_feature_transformer_is_pyqlibs():
    from qlib.contrib.model.pytorch_tabnet import FeatureTransformer as Theirs

    shared = nn.ModuleList([nn.Linear(5, 12, bias=False), nn.Linear(6, 12, bias=False)])
    ours = FeatureTransformer([nn.Linear(6, 12, bias=False) for _ in range(2)], 2, 6, 128)
    theirs = Theirs(5, 6, [nn.Linear(5, 12), nn.Linear(6, 12)], 2, 128)
    for linear, gate in zip([*shared, *ours.own], [*theirs.shared, *theirs.independ], strict=True):
        gate.fc.load_state_dict({"weight": linear.weight, "bias": torch.zeros(12)})
    x = torch.randn(40, 5)
    torch.testing.assert_close(ours.train()(x, shared), theirs.train()(x), rtol=1e-5, atol=1e-5)


def test_a_step_of_tabnet_counts_what_the_one_before_it_used():
    """pyqlib's class forgets it."""
    net = TabNet(settings_of("tabnet", columns=6, n_steps=2, gamma=1.5)).eval()
    columns = torch.randn(50, 6)
    (first, second), _ = net._steps(columns)
    read = net.read[1](first * net.norm(columns), net.shared)[:, net.n_d :]
    wanted = net.attend[1].norm(net.attend[1].linear(read))
    torch.testing.assert_close(second, sparsemax(wanted * (1.5 - first)))
    assert not torch.allclose(second, sparsemax(wanted))


def test_tabnets_penalty_is_the_entropy_of_its_masks():
    net = TabNet(settings_of("tabnet", columns=6, sparsity=2.0)).train()
    x = torch.randn(50, 1, 6)
    net(x)
    masks, _ = net._steps(x[:, -1])
    slowly = sum(-(mask * torch.log(mask + 1e-10)).sum(1).mean() for mask in masks) / len(masks)
    torch.testing.assert_close(net.penalty, 2.0 * slowly)
    net.eval()(x)
    assert net.penalty is None


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")  # theirs
@pytest.mark.parametrize(("kernel_size", "num_layers"), [(5, 5), (2, 3), (3, 1)])
def test_the_answer_of_the_tcn_is_what_pyqlibs_knows_at_that_session(kernel_size, num_layers):
    from qlib.contrib.model.pytorch_tcn_ts import TCNModel

    chosen = {"n_chans": 8, "kernel_size": kernel_size, "num_layers": num_layers, "seq_len": 20}
    ours = TemporalConvolutions(settings_of("tcn", task=Task(), **chosen)).double().eval()
    theirs = TCNModel(3, 1, [8] * num_layers, kernel_size, 0.5).double().eval()
    theirs.linear.load_state_dict(ours.out.state_dict())
    for block, published in zip(ours.blocks, theirs.tcn.network, strict=True):
        for convolution, their in ((block.first, published.conv1), (block.second, published.conv2)):
            direction, length, bias = convolution.direction, convolution.length[:, None, None], convolution.bias
            their.load_state_dict({"weight_v": direction, "weight_g": length, "bias": bias})
        if published.downsample is not None:
            published.downsample.load_state_dict(block.skip.state_dict())
    x = torch.randn(9, 20, 3, dtype=torch.double)
    known = theirs.linear(theirs.tcn(x.transpose(1, 2)).transpose(1, 2))
    for end in range(1, 21):
        torch.testing.assert_close(ours(x[:, :end]), known[:, end - 1])


@pytest.mark.parametrize(("kernel_size", "num_layers", "field"), [(2, 2, 7), (3, 2, 13), (2, 3, 15), (5, 1, 9)])
def test_the_tcn_sees_as_far_back_as_its_convolutions_reach(kernel_size, num_layers, field):
    assert field == 1 + 2 * (kernel_size - 1) * (2**num_layers - 1)
    chosen = {"n_chans": 8, "kernel_size": kernel_size, "num_layers": num_layers, "seq_len": 20}
    x = torch.randn(64, 20, 3).requires_grad_()
    TemporalConvolutions(settings_of("tcn", **chosen)).eval()(x).sum().backward()
    assert (x.grad.abs().sum((0, 2)) > 0).tolist() == [False] * (20 - field) + [True] * field


def test_no_session_of_the_tft_knows_a_later_one():
    net = TemporalFusionTransformer(settings_of("tft", **SMALL["tft"])).eval()
    x = torch.randn(9, 5, 3)
    before, after = net.states(x), net.states(torch.cat((x[:, :3], torch.randn(9, 2, 3)), 1))
    torch.testing.assert_close(after[:, :3], before[:, :3])
    assert not torch.isclose(after[:, 3:], before[:, 3:]).all(-1).any()


def test_what_the_tft_chose_of_a_window_is_1_in_all():
    net = TemporalFusionTransformer(settings_of("tft", columns=7, **SMALL["tft"])).eval()
    x = torch.randn(9, 5, 7)
    chosen = net.attended(x)
    assert (chosen > 0).all()
    torch.testing.assert_close(chosen.sum(1), torch.ones(9))
    torch.testing.assert_close(chosen, torch.stack([net.select.weights(x[:, at]) for at in range(5)]).mean(0))


def test_the_informer_halves_what_its_decoder_reads():
    net = Informer(settings_of("informer", e_layers=3))
    sequence = torch.randn(2, 60, 64)
    assert net.distils[1](net.distils[0](sequence)).shape == (2, 15, 64)
    assert net.distils[0](sequence[:, :1]).shape == (2, 1, 64)


def test_patchtst_reads_each_column_alone():
    """What the encoder makes of one column does not change with another one."""
    net = PatchTST(settings_of("patchtst", **SMALL["patchtst"])).eval()
    read = []
    net.encoder.register_forward_hook(lambda _module, _given, made: read.append(made.unflatten(0, (-1, 3))))
    x = torch.randn(4, 8, 3)
    net(x)
    net(torch.cat((x[:, :, :2], torch.randn(4, 8, 1)), 2))
    torch.testing.assert_close(read[0][:, :2], read[1][:, :2])
    assert not torch.allclose(read[0][:, 2], read[1][:, 2])
