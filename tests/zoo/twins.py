"""A network in PyTorch beside ours, with the same variables: its modules in the order of our layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc import weights
from graphc.dims import evaluate_shape
from graphc.execution.network import evaluate
from graphc.graph import Node, Plan
from graphc.types import Array
from tests.zoo.slim import plan_of


def randomized(torch: Any, model: Any) -> Any:
    """The model for inference, with random statistics, gammas and biases, so that every one of them matters."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(std=0.1)
    return model.eval()


def called(torch: Any, model: Any, images: Sequence[Any]) -> list[Any]:
    """Its modules with variables of their own, in the order in which a run calls them, each once."""
    order: list[Any] = []
    own = [each for each in model.modules() if next(each.parameters(recurse=False), None) is not None]
    hooks = [each.register_forward_hook(lambda module, *_: order.append(module)) for each in own]
    with torch.no_grad():
        model(*images)
    for hook in hooks:
        hook.remove()
    return list(dict.fromkeys(order))


def variables_of(plan: Plan, modules: Sequence[Any]) -> dict[str, Array]:
    """Our variables, where the nodes that have any are these modules, in this order."""
    nodes = [each for each in plan.nodes if each.params]
    assert len(nodes) == len(modules), [each.node.name for each in nodes]
    params: dict[str, Array] = {}
    for each, module in zip(nodes, modules, strict=True):
        for local, array in arrays_of(each.node, module).items():
            name = plan.graph.variable(each.node, local)
            assert array.shape == each.params[local].shape, (name, array.shape, module)
            params[name] = np.ascontiguousarray(array)
    return params


def arrays_of(node: Node, module: Any) -> dict[str, Array]:
    """A module's arrays by our names for them, in our layout."""
    held = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    if node.layer.kind in ("batch_norm", "layer_norm"):
        names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
        return {ours: held[theirs] for ours, theirs in names.items() if theirs in held}
    weight, biases = held["weight"], {"biases": held["bias"]} if "bias" in held else {}
    if node.layer.kind == "depthwise_conv2d":
        groups = module.groups
        weight = weight.reshape(groups, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
        return {"depthwise_weights": weight, **biases}
    if node.layer.kind == "fully_connected":  # also of a convolution of one point
        return {"weights": weight.reshape(len(weight), -1).T, **biases}
    return {"weights": weight.transpose(*range(2, weight.ndim), 1, 0), **biases}


def distances(
    torch: Any, plan: Plan, model: Any, modules: Sequence[Any] | None = None, sizes: Mapping[str, int] | None = None
) -> dict[str, float]:
    """Output -> the largest difference between ours and the model's, in parts of the largest value.

    The model takes our inputs, channels first, and gives our outputs, in the order of the spec; `sizes` are numbers for
    open sizes."""
    rng = np.random.default_rng(0)
    shapes = {each.name: (2, *evaluate_shape(each.shape, sizes or {})) for each in plan.graph.inputs}
    arrays = {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    images = [torch.from_numpy(np.moveaxis(each, -1, 1).copy()) for each in arrays.values()]
    params = variables_of(plan, modules if modules is not None else called(torch, model, images))
    found = evaluate(plan, params, arrays)
    with torch.no_grad():
        theirs = model(*images)
    theirs = theirs if isinstance(theirs, (tuple, list)) else (theirs,)
    assert len(theirs) == len(plan.graph.outputs)
    return {
        name: difference(found[node], np.moveaxis(each.numpy(), 1, -1))
        for (name, node), each in zip(plan.graph.outputs.items(), theirs, strict=True)
    }


def difference(found: Array, expected: Array) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def distance_from_checkpoint(torch: Any, spec: str, model: Any, folder: Path, side: int = 64) -> float:
    """The largest difference between a library's network and the spec with its weights, which are saved in the folder
    and found again by name; of two images of this side."""
    torch.save(model.state_dict(), folder / f"{spec}.pth")
    plan = plan_of(spec, (f"resolution={side}",))
    params, _ = weights.load_variables(folder / f"{spec}.pth", plan)
    x = np.random.default_rng(0).standard_normal((2, side, side, 3), dtype=np.float32)
    with torch.no_grad():
        theirs = model(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    (found,) = evaluate(plan, params, {"image": x}).values()
    return difference(found, theirs)
