"""A hundred float64 steps of a small CNN with batch norm beside PyTorch's: same weights, same batches."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphc.data.batch import Batch
from graphc.spec.model import read_spec_text
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.recipe import read_recipe_text
from graphc.train.setup import new_state
from graphc.train.task import Task

torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")

SPEC = """\
graphc: 1
name: net
inputs: {image: [N, 8, 8, 3]}
arg_scope:
  conv2d:
    kernel: 3
    padding: same_fixed
    activation: relu
    normalizer: {batch_norm: {decay: 0.9, ramp: false, epsilon: 1e-5, scale: true}}
    weights_regularizer: {l2: 0.001}
layers:
  - conv2d: {name: conv1, filters: 6}
  - max_pool2d: [2, 2]
  - conv2d: {name: conv2, filters: 8, stride: 2}
  - global_avg_pool2d
  - fully_connected: {name: logits, units: 5}
outputs: {logits: logits}
"""

RECIPE = """\
recipe: 1
model: net
data: {train: digits}
loss: {softmax_cross_entropy: {label_smoothing: 0.1}}
optimizer: %s
learning_rate: %s
schedule: cosine
steps: 100
dtype: float64
clip: {global_norm: 1.0}
"""

OPTIMIZERS = {
    "sgd": ("{sgd: {weight_decay: 0.01}}", 0.1, lambda p, o: o.SGD(p, 0.1, weight_decay=0.01)),
    "momentum": ("momentum", 0.05, lambda p, o: o.SGD(p, 0.05, momentum=0.9)),
    "nesterov": ("nesterov", 0.05, lambda p, o: o.SGD(p, 0.05, momentum=0.9, nesterov=True)),
    "rmsprop": (
        "{rmsprop: {momentum: 0.9, centered: true, epsilon: 1e-4}}",
        0.001,
        lambda p, o: o.RMSprop(p, 0.001, momentum=0.9, centered=True, eps=1e-4),
    ),
    "adagrad": ("{adagrad: {epsilon: 1e-6}}", 0.02, lambda p, o: o.Adagrad(p, 0.02, eps=1e-6)),
    "adam": ("{adam: {epsilon: 1e-6}}", 0.01, lambda p, o: o.Adam(p, 0.01, eps=1e-6)),
    "adamw": ("{adamw: {epsilon: 1e-6}}", 0.01, lambda p, o: o.AdamW(p, 0.01, eps=1e-6)),
    "lamb": ("{lamb: {weight_decay: 0.01}}", 0.01, lambda p, o: _Lamb(p, 0.01, 0.01)),
}


class _Lamb:
    """The paper's formulas, on PyTorch's tensors."""

    def __init__(self, params, rate, decay):
        self.params, self.decay, self.step_count = list(params), decay, 0
        self.param_groups = [{"lr": rate}]
        self.moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in self.params]

    def zero_grad(self):
        for p in self.params:
            p.grad = None

    @torch.no_grad()
    def step(self):
        self.step_count += 1
        t = self.step_count
        for p, (m, v) in zip(self.params, self.moments, strict=True):
            m.mul_(0.9).add_(p.grad, alpha=0.1)
            v.mul_(0.999).add_(p.grad**2, alpha=0.001)
            r = (m / (1 - 0.9**t)) / (torch.sqrt(v / (1 - 0.999**t)) + 1e-6) + self.decay * p
            trust = p.norm() / r.norm() if p.norm() > 0 and r.norm() > 0 else 1.0
            p.sub_(self.param_groups[0]["lr"] * trust * r)


def _net():
    conv1, conv2 = torch.nn.Conv2d(3, 6, 3, 1, 1, bias=False), torch.nn.Conv2d(6, 8, 3, 2, 1, bias=False)
    head = (torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5))
    layers = (conv1, torch.nn.BatchNorm2d(6), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    return torch.nn.Sequential(*layers, conv2, torch.nn.BatchNorm2d(8), torch.nn.ReLU(), *head).double()


def _named(net):
    """Our variable names -> PyTorch's tensors, and how theirs are turned into ours."""
    conv, same, dense = (lambda w: w.transpose(2, 3, 1, 0)), (lambda w: w), (lambda w: w.T)
    found = {"net/logits/weights": (net[9].weight, dense), "net/logits/biases": (net[9].bias, same)}
    for name, at in (("conv1", 0), ("conv2", 4)):
        norm = net[at + 1]
        found[f"net/{name}/weights"] = (net[at].weight, conv)
        for ours, theirs in (
            ("gamma", norm.weight),
            ("beta", norm.bias),
            ("moving_mean", norm.running_mean),
            ("moving_variance", norm.running_var),
        ):
            found[f"net/{name}/BatchNorm/{ours}"] = (theirs, same)
    return found


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_hundred_steps(name):
    written, rate, make = OPTIMIZERS[name]
    engine = NumpyEngine(Task.of(read_recipe_text(RECIPE % (written, rate)), read_spec_text(SPEC, "net.yaml")))
    state, net = new_state(engine), _net()
    tensors = _named(net)
    assert set(tensors) == set(state.params)
    for variable, (tensor, turned) in tensors.items():
        array = np.ascontiguousarray(turned(tensor.detach().numpy()))
        np.copyto(state.params[variable], array)
    regularized = [net[0].weight, net[4].weight]
    optimizer = make(net.parameters(), torch.optim)
    rng = np.random.default_rng(2)
    for step in range(100):
        x, y = rng.normal(size=(12, 8, 8, 3)), rng.integers(0, 5, 12)
        now = rate * (1 + math.cos(math.pi * step / 100)) / 2
        ours = engine.compute(state, [Batch({"image": x}, {"label": y})], now)
        ours.commit()
        loss = torch.nn.functional.cross_entropy(
            net(torch.from_numpy(x.transpose(0, 3, 1, 2))), torch.from_numpy(y), label_smoothing=0.1
        ) + sum(0.001 / 2 * (w**2).sum() for w in regularized)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = now
        optimizer.step()
        assert ours.loss == pytest.approx(loss.item(), abs=1e-9)
    for variable, (tensor, turned) in tensors.items():
        np.testing.assert_allclose(
            state.params[variable], turned(tensor.detach().numpy()), rtol=0, atol=1e-9, err_msg=variable
        )
