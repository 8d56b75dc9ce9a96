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


def shortcuts_first(torch: Any, model: Any, images: Sequence[Any], shortcut: str = "downsample") -> list[Any]:
    """Modules in the order in which they are called, each shortcut before what it leads around, as residuals have it;
    of an attention only itself."""
    names = {module: name for name, module in model.named_modules()}
    owners = {name: module for module, name in names.items() if type(module).__name__ == "Attention"}
    order = []
    for each in called(torch, model, images):
        owner, _, part = names[each].rpartition(".")
        if owner not in owners or part not in ("q", "kv", "qkv"):
            order.append(owners[owner] if owner in owners and part == "proj" else each)
    places = {names[each]: place for place, each in enumerate(order)}
    blocks = {name.partition(f".{shortcut}.")[0] for name in places if f".{shortcut}." in name}
    firsts = {block: min(at for name, at in places.items() if name.startswith(f"{block}.")) for block in blocks}

    def place(module: Any) -> tuple[int, bool, int]:
        name = names[module]
        block = next((each for each in blocks if name.startswith(f"{each}.")), None)
        return (firsts[block] if block else places[name], f".{shortcut}." not in name, places[name])

    return sorted(order, key=place)


def attention_arrays(module: Any) -> dict[str, Array]:
    """Of an attention whose queries, keys and values come of one matrix, or keys and values of another than queries."""
    found: dict[str, Array] = {}
    for ours, theirs in (("weights", "weight"), ("biases", "bias")):
        if hasattr(module, "qkv"):
            parts = getattr(module.qkv, theirs).chunk(3)
        else:
            parts = (getattr(module.q, theirs), *getattr(module.kv, theirs).chunk(2))
        names = ("query", "key", "value", "output")
        for name, part in zip(names, (*parts, getattr(module.proj, theirs)), strict=True):
            found[f"{name}_{ours}"] = part.detach().numpy().T
    if hasattr(module, "relative_position_bias_table"):
        found["relative_bias"] = module.relative_position_bias_table.detach().numpy()
    return found


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
    if node.layer.kind == "multi_head_attention":
        return attention_arrays(module)
    held = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    if node.layer.kind == "layer_scale":
        return {"gamma": next(iter(held.values())).ravel()}
    if node.layer.kind in ("batch_norm", "layer_norm", "group_norm"):
        names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
        return {ours: held[theirs] for ours, theirs in names.items() if theirs in held}
    weight, biases = held["weight"], {"biases": held["bias"]} if "bias" in held else {}
    if node.layer.kind == "depthwise_conv2d":
        groups = module.groups
        weight = weight.reshape(groups, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
        return {"depthwise_weights": weight, **biases}
    if node.layer.kind == "fully_connected":  # also of a convolution of one point
        return {"weights": weight.reshape(len(weight), -1).T, **biases}
    if node.layer.kind == "conv2d" and weight.ndim == 2:  # a matrix at each pixel
        weight = weight[:, :, None, None]
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
