"""RepVGG: three paths a unit in training, one convolution in the compiled file, and timm's outputs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from graphc.compiler import initial_or_loaded
from graphc.emit.model import emit
from graphc.graph import Plan
from graphc.runtime import Session
from graphc.weights import LoadOptions
from tests.zoo.slim import draw, plan_of

DEPLOYED = 8309384
"""Numbers of the plain net: timm's, reparametrized."""


def weights(plan: Plan) -> dict[str, np.ndarray]:
    return {name: draw(name, spec.shape) for name, spec in plan.variables.items()}


def test_the_compiled_net_is_plain() -> None:
    plan = plan_of("repvgg_a0", ("resolution=32", "width=0.125", "last=0.25"))
    params = weights(plan)
    graphs = {fold: emit(plan, params, fold=fold, layout="nchw").proto() for fold in (True, False)}
    kinds = Counter(node.op_type for node in graphs[True].graph.node)
    assert kinds == {"Conv": 22, "Relu": 22, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1}
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32), np.float32)
    plain, written = (Session(graph.SerializeToString()).run({"image": x})["logits"] for graph in graphs.values())
    np.testing.assert_allclose(plain, written, rtol=0, atol=2e-5 * np.abs(written).max())


def test_outputs_are_timms(tmp_path) -> None:
    timm = pytest.importorskip("timm", reason="compared with timm where it is installed")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = timm.create_model("repvgg_a0").eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, (low, high) in ((module.running_mean, (-0.1, 0.1)), (module.running_var, (0.5, 1.5))):
                torch.nn.init.uniform_(tensor, low, high)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.1, 0.1)
    torch.save(net.state_dict(), tmp_path / "repvgg_a0.pth")
    plan = plan_of("repvgg_a0", ("resolution=64",))
    params, _ = initial_or_loaded(plan, 0, tmp_path / "repvgg_a0.pth", load=LoadOptions(source="timm:repvgg_a0"))
    x = np.random.default_rng(0).standard_normal((2, 3, 64, 64)).astype(np.float32)
    found = Session(emit(plan, params, layout="nchw").serialize()).run({"image": x})["logits"]
    with torch.no_grad():
        wanted = net(torch.tensor(x)).numpy()
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()
    deployed = timm.utils.reparameterize_model(net)
    assert sum(parameter.numel() for parameter in deployed.parameters()) == DEPLOYED
