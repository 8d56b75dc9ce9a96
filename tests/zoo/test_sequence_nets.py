"""Vision transformers beside timm's, and the CRNN beside a PyTorch net of its paper: counts, and outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.execution.network import evaluate
from graphc.graph import Plan
from graphc.initializers import initial_values
from tests.zoo.slim import plan_of

Arrays = dict[str, np.ndarray]


def vit_variables(state: dict[str, Any], scope: str, distilled: bool) -> Arrays:
    """timm's variables by our names: its three matrices of attention lie in one, and all are transposed."""
    theirs = {name: value.numpy() for name, value in state.items()}
    found = {
        "patches/weights": theirs["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "patches/biases": theirs["patch_embed.proj.bias"],
        "class_token/token": theirs["cls_token"].ravel(),
        "positions/embedding": theirs["pos_embed"][0],
    }
    if distilled:
        found["distillation_token/token"] = theirs["dist_token"].ravel()
    dense = {"head": "head"} | ({"distilled_head": "head_dist"} if distilled else {})
    norms = {"norm": "norm"}
    for block in range(12):
        ours, other = f"encoder/unit_{block + 1}", f"blocks.{block}"
        dense |= {f"{ours}/widen": f"{other}.mlp.fc1", f"{ours}/narrow": f"{other}.mlp.fc2"}
        norms |= {f"{ours}/norm1": f"{other}.norm1", f"{ours}/norm2": f"{other}.norm2"}
        for kind, end in (("weights", "weight"), ("biases", "bias")):
            together = theirs[f"{other}.attn.qkv.{end}"]
            for part, values in zip(("query", "key", "value"), np.split(together, 3), strict=True):
                found[f"{ours}/attention/{part}_{kind}"] = values.T
            found[f"{ours}/attention/output_{kind}"] = theirs[f"{other}.attn.proj.{end}"].T
    for ours, other in dense.items():
        found |= {f"{ours}/weights": theirs[f"{other}.weight"].T, f"{ours}/biases": theirs[f"{other}.bias"]}
    for ours, other in norms.items():
        found |= {f"{ours}/gamma": theirs[f"{other}.weight"], f"{ours}/beta": theirs[f"{other}.bias"]}
    return {f"{scope}/{name}": value for name, value in found.items()}


@pytest.mark.parametrize(
    ("spec", "net", "settings"),
    [
        ("vit_tiny", "vit_tiny_patch16_224", ()),
        ("deit_tiny", "deit_tiny_distilled_patch16_224", ("distilled=true",)),
    ],
)
def test_vision_transformers_are_timms(spec: str, net: str, settings: tuple[str, ...]) -> None:
    torch = pytest.importorskip("torch", reason="compared with timm where it is installed")
    timm = pytest.importorskip("timm", reason="compared with timm where it is installed")
    torch.manual_seed(0)
    model = timm.create_model(net, pretrained=False).eval()
    with torch.no_grad():
        for value in model.parameters():  # timm starts tokens and biases at nothing
            value.add_(0.02 * torch.randn(value.shape))
    plan = plan_of(spec, settings)
    assert sum(node.param_count for node in plan.nodes) == sum(value.numel() for value in model.parameters())
    variables = vit_variables(model.state_dict(), spec, bool(settings))
    check_outputs(plan, variables, np.random.default_rng(0).standard_normal((2, 224, 224, 3)), model)


def check_outputs(plan: Plan, variables: Arrays, images: np.ndarray, model: Any) -> None:
    """The logits [N, …] of images [N, H, W, C] beside those of a PyTorch model."""
    import torch

    images = images.astype(np.float32)
    assert {name: value.shape for name, value in variables.items()} == {
        name: spec.shape for name, spec in plan.variables.items()
    }
    node = plan.graph.outputs["logits"]
    ours = evaluate(plan, variables, {"image": images}, [node])[node]
    with torch.no_grad():
        theirs = model(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1.0, np.abs(theirs).max()))


def crnn_of_torch(torch: Any) -> Any:
    """The net of the paper, in the form of its ports: biases also before batch norm, a matrix between the LSTMs."""
    nn = torch.nn

    class Crnn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            steps: list[Any] = []
            filters = [1, 64, 128, 256, 256, 512, 512, 512]
            pools = {0: nn.MaxPool2d(2, 2), 1: nn.MaxPool2d(2, 2)}
            pools |= {place: nn.MaxPool2d((2, 2), (2, 1), (0, 1)) for place in (3, 5)}
            for place in range(7):
                kernel, padding = (2, 0) if place == 6 else (3, 1)
                steps.append(nn.Conv2d(filters[place], filters[place + 1], kernel, 1, padding))
                steps += [nn.BatchNorm2d(filters[place + 1])] if place in (2, 4, 6) else []
                steps += [nn.ReLU(), *([pools[place]] if place in pools else [])]
            self.cnn = nn.Sequential(*steps)
            self.lstm1 = nn.LSTM(512, 256, bidirectional=True, batch_first=True)
            self.between = nn.Linear(512, 256)
            self.lstm2 = nn.LSTM(256, 256, bidirectional=True, batch_first=True)
            self.logits = nn.Linear(512, 37)

        def forward(self, x: Any) -> Any:
            steps = self.cnn(x).squeeze(2).transpose(1, 2)
            return self.logits(self.lstm2(self.between(self.lstm1(steps)[0]))[0])

    return Crnn()


def crnn_variables(model: Any) -> Arrays:
    torch_nn = pytest.importorskip("torch").nn
    found: Arrays = {}
    convolutions = 0
    for module in model.cnn:
        if isinstance(module, torch_nn.Conv2d):
            convolutions += 1
            found[f"conv{convolutions}/weights"] = module.weight.detach().numpy().transpose(2, 3, 1, 0)
            found[f"conv{convolutions}/biases"] = module.bias.detach().numpy()
        elif isinstance(module, torch_nn.BatchNorm2d):
            names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
            for ours, theirs in names.items():
                found[f"conv{convolutions}/BatchNorm/{ours}"] = getattr(module, theirs).detach().numpy()
    for name in ("between", "logits"):
        module = getattr(model, name)
        found |= {f"{name}/weights": module.weight.detach().numpy().T, f"{name}/biases": module.bias.detach().numpy()}
    kinds = {
        "weights": "weight_ih",
        "recurrent_weights": "weight_hh",
        "biases": "bias_ih",
        "recurrent_biases": "bias_hh",
    }
    for name in ("lstm1", "lstm2"):
        for prefix, suffix in (("", ""), ("reverse_", "_reverse")):
            for ours, theirs in kinds.items():
                value = getattr(getattr(model, name), f"{theirs}_l0{suffix}")
                found[f"{name}/{prefix}{ours}"] = value.detach().numpy().T
    return {f"crnn/{name}": value for name, value in found.items()}


def test_the_crnn_is_the_papers() -> None:
    torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
    torch.manual_seed(0)
    model = crnn_of_torch(torch).eval()
    plan = plan_of("crnn", ("width=100",))
    assert (
        sum(node.trainable_count for node in plan.nodes)
        == sum(value.numel() for value in model.parameters())
        == 8331301
    )
    variables = crnn_variables(model)
    check_outputs(plan, variables, np.random.default_rng(0).standard_normal((2, 32, 100, 1)), model)


def test_one_file_of_the_crnn_reads_lines_of_any_width() -> None:
    ort = pytest.importorskip("onnxruntime")
    from graphc.compiler import compile_plan

    plan = plan_of("crnn", ("units=8",))
    variables = initial_values(plan.variables, 0)
    session = ort.InferenceSession(compile_plan(plan, variables).serialize(), providers=["CPUExecutionProvider"])
    for width, steps in ((16, 5), (61, 16)):
        images = np.random.default_rng(width).standard_normal((2, 32, width, 1)).astype(np.float32)
        (found,) = session.run(None, {"image": images})
        assert found.shape == (2, steps, 37)
        fixed = plan_of("crnn", ("units=8", f"width={width}"))
        node = fixed.graph.outputs["logits"]
        expected = evaluate(fixed, variables, {"image": images}, [node])[node]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
