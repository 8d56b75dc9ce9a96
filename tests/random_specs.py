"""Random legal specs: every layer kind and every composition, drawn entry by entry from a seed.

An entry that the compiler refuses is dropped, so the generator needs no rules of its own; what is kept is legal by
construction, and shapes that a later entry needs (equal ones to add, equal sizes to concatenate) come from the plan.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import yaml

from graphc.compiler import plan_model
from graphc.dims import Shape
from graphc.errors import GraphcError
from graphc.graph import Plan
from graphc.layers import ACTIVATIONS
from graphc.spec.model import read_spec_text

Entry = Any
PLAIN = sorted(ACTIVATIONS - {"maxout", "softmax"})
NORMALIZERS: dict[str, dict[str, Any]] = {
    "batch_norm": {"scale": True},
    "layer_norm": {"epsilon": 0.01},
    "group_norm": {"groups": 1, "epsilon": 0.01},
    "instance_norm": {"epsilon": 0.01},
    "unit_norm": {"epsilon": 0.01},
    "local_response_norm": {"depth_radius": 2},
}
"""With epsilons that leave no float32 noise where an image has one pixel."""


class RandomSpec:
    """One spec, its text and its plan; `refused` counts the codes of entries that were dropped."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names = 0
        self.refused: Counter[str] = Counter()
        self.spec: dict[str, Any] = self.head()
        self.plan = self.grow()

    @property
    def text(self) -> str:
        found: str = yaml.safe_dump(self.spec, sort_keys=False)
        return found

    def parsed(self) -> Plan:
        return plan_model(read_spec_text(self.text, "random.yaml", ()))

    # the spec around its layers -------------------------------------------------------------------------------

    def head(self) -> dict[str, Any]:
        draw = self.random
        sizes = draw.choice([[8, 8], [9, 7], [11, 16], [4, 6], [1, 5], ["H", "W"], ["8*H", "8*H"], [12, "W"]])
        spec: dict[str, Any] = {
            "graphc": 1,
            "name": "net",
            "vars": {"width": draw.choice([2, 4, 6])},
            "inputs": {"image": [draw.choice(["N", "N", "N", 2]), *sizes, draw.choice([1, 3, 4, 8])]},
        }
        if draw.random() < 0.2:
            shape = spec["inputs"]["image"]
            spec["inputs"]["other"] = draw.choice([shape, [shape[0], 5], [*shape[:3], 2]])
        if draw.random() < 0.3:
            spec["arg_scopes"] = {"saved": self.scope()}
        if draw.random() < 0.5:
            spec["arg_scope"] = self.scope()
        if draw.random() < 0.4:
            spec["blocks"] = {"unit": self.block()}
        return spec

    def block(self) -> dict[str, Any]:
        inner = [{"conv2d": {"name": "a", "filters": "${depth}", "kernel": "${size}"}}, *self.leaves(1, 2)]
        return {"params": ["depth", {"size": 3}], "arg_scope": self.scope(), "layers": inner}

    def scope(self) -> dict[str, Any]:
        draw = self.random
        found: dict[str, Any] = {}
        if draw.random() < 0.7:
            found["conv2d, separable_conv2d"] = self.sugar() | {"padding": draw.choice(["same", "valid", "same_fixed"])}
        if draw.random() < 0.4:
            found["fully_connected"] = self.sugar()
        if draw.random() < 0.3:
            found["batch_norm"] = {"scale": True, "epsilon": 0.01}
        if draw.random() < 0.3:
            found["max_pool2d, avg_pool2d"] = {"padding": "same", "stride": 1}
        return found

    # layers ---------------------------------------------------------------------------------------------------

    def grow(self) -> Plan:
        self.spec["layers"] = []
        plan: Plan | None = None
        for _ in range(self.random.randint(3, 12)):
            entry = self.entry(plan)
            self.spec["layers"].append(entry)
            try:
                plan = self.parsed()
            except GraphcError as error:
                self.refused[error.code] += 1
                self.spec["layers"].pop()
        if plan is None:
            self.spec["layers"] = [{"relu": {"inputs": "image"}}]
            plan = self.parsed()
        known = [name for name in plan.graph.end_points.values() if not plan.graph.warnings]
        if known and self.random.random() < 0.4:
            last = plan.nodes[-1].node.name
            self.spec["outputs"] = {"one": self.random.choice(known), "two": last}
            plan = self.parsed()
        return plan

    def entry(self, plan: Plan | None) -> Entry:
        draw = self.random
        makers = [self.leaf] * 7 + [self.merge] * 2
        makers += [self.group, self.repeat, self.stack, self.branches, self.residual, self.use_block, self.tail]
        maker = draw.choice(makers)
        entry = maker(plan) if maker == self.merge else maker()
        if isinstance(entry, str):
            return entry
        (body,) = entry.values()
        if isinstance(body, dict) and (draw.random() < 0.8 or maker not in (self.leaf, self.merge)):
            body.setdefault("name", self.name())
        if isinstance(body, dict) and plan is None:
            body["inputs"] = "image"
        elif isinstance(body, dict) and draw.random() < 0.15 and maker != self.merge:
            body["inputs"] = draw.choice([*self.spec["inputs"], *shapes(plan)])
        if maker == self.leaf and isinstance(body, dict) and plan is not None and draw.random() < 0.1:
            kind = next(iter(entry))
            twins = [node.node.name for node in plan.nodes if node.node.layer.kind == kind]
            if twins:
                body["share"] = draw.choice(twins)
        return entry

    def name(self) -> str:
        self.names += 1
        return f"e{self.names}"

    def leaves(self, least: int, most: int) -> list[Entry]:
        return [self.leaf() for _ in range(self.random.randint(least, most))]

    def merge(self, plan: Plan | None) -> Entry:
        draw = self.random
        if plan is None:
            return self.leaf()
        known = shapes(plan)
        kind = draw.choice(["add", "multiply", "concat", "concat"])
        first = draw.choice(list(known))
        fits = [name for name, shape in known.items() if shape == known[first]]
        if kind == "concat":
            fits = [name for name, shape in known.items() if shape[:-1] == known[first][:-1]]
        count = draw.randint(1, 3)
        body: dict[str, Any] = {"inputs": [first, *draw.choices(fits, k=count)]}
        if draw.random() < 0.3:
            body["activation"] = draw.choice(PLAIN)
        if kind == "concat" and draw.random() < 0.2:
            body["axis"] = draw.choice(["height", "width", "channels"])
        return {kind: body}

    def tail(self) -> Entry:
        """A flattened image, through layers that keep or need its order."""
        draw = self.random
        between = [self.activation_entry() for _ in range(draw.randint(0, 2))]
        between += draw.choices(
            [
                "softmax",
                {"batch_norm": {"scale": True}},
                "unit_norm",
                "bias_add",
                "prelu",
                "dropout",
                {"layer_norm": {"epsilon": 0.01}},
                {"maxout": 2},
                {"slice": {"stop": 3}},
                "layer_scale",
            ],
            k=draw.randint(0, 2),
        )
        draw.shuffle(between)
        closing = draw.choice([[], [{"fully_connected": {"units": 5} | self.sugar()}], [{"reshape": [-1, 1]}]])
        return {"group": {"layers": ["flatten", *between, *closing]}}

    def group(self) -> Entry:
        draw = self.random
        body: dict[str, Any] = {"layers": self.leaves(1, 3)}
        if draw.random() < 0.6:
            named = ["saved"] if "arg_scopes" in self.spec else []
            body["arg_scope"] = draw.choice(
                [self.scope(), "none", *named, *([[named[0], self.scope()]] if named else [])]
            )
        return {"group": body}

    def repeat(self) -> Entry:
        draw = self.random
        body: dict[str, Any] = {"times": draw.randint(0, 3)}
        if draw.random() < 0.5:
            body |= {"index": "i", "layer": {"conv2d": {"filters": "${2 * i}", "kernel": 3} | self.sugar()}}
        else:
            body["layers"] = self.leaves(1, 2)
        return {"repeat": body}

    def stack(self) -> Entry:
        args = [2, [4, 3], {"filters": 3, "kernel": [1, 3]}, ["${width}", 1]]
        chosen = [each for each in self.random.choices(args, k=self.random.randint(1, 3)) if each != 2]
        return {"stack": {"layer": "conv2d", "args": chosen or [[4, 1]]}}

    def branches(self) -> Entry:
        draw = self.random
        paths = {f"p{i}": self.leaves(0, 2) for i in range(draw.randint(1, 3))}
        body: dict[str, Any] = {"paths": paths, "merge": draw.choice(["concat", "concat", "add", "multiply"])}
        if draw.random() < 0.3:
            body["activation"] = draw.choice(PLAIN)
        return {"branches": body}

    def residual(self) -> Entry:
        draw = self.random
        body: dict[str, Any] = {"layers": self.leaves(1, 2)}
        if draw.random() < 0.5:
            stride = draw.choice([1, 2, 3])
            main = {
                "conv2d": {"filters": 4, "kernel": draw.choice([1, 3, [3, 2]]), "stride": stride, "padding": "same"}
            }
            side = {"conv2d": {"filters": 4, "kernel": draw.choice([1, 2]), "stride": stride, "padding": "same"}}
            body = {"layers": [*self.leaves(0, 1), main], "shortcut": [side]}
        if draw.random() < 0.5:
            body["activation"] = draw.choice(PLAIN)
        return {"residual": body}

    def use_block(self) -> Entry:
        if "blocks" not in self.spec:
            return self.leaf()
        return {"unit": {"depth": self.random.choice([2, "${width}"])}}

    def activation_entry(self) -> Entry:
        kind = self.random.choice(PLAIN)
        return {kind: {"alpha": 0.3}} if kind in ("leaky_relu", "elu") else kind

    def sugar(self) -> dict[str, Any]:
        draw = self.random
        found: dict[str, Any] = {"biases_initializer": {"normal": {"stddev": 0.5}}}
        if draw.random() < 0.5:
            found["activation"] = draw.choice([*PLAIN, "none", {"leaky_relu": {"alpha": 0.3}}])
        if draw.random() < 0.4:
            kind = draw.choice([*NORMALIZERS, "batch_norm", "batch_norm"])
            found["normalizer"] = draw.choice([{kind: NORMALIZERS[kind]}] * 5 + ["batch_norm", None])
        if draw.random() < 0.1:
            found["bias"] = draw.choice([True, False])
        return found

    def window(self) -> dict[str, Any]:
        draw = self.random
        padding = ["same", "same", "same", "valid", "same_fixed", 1, [1, 0], [[1, 0], [2, 1]]]
        found: dict[str, Any] = {"kernel": draw.choice([1, 2, 3, 3, 3, 5, [1, 3], [3, 2]])}
        found["padding"] = draw.choice(padding)
        if draw.random() < 0.4:
            found["stride"] = draw.choice([1, 2, 3, [2, 1]])
        return found

    def leaf(self) -> Entry:
        draw = self.random
        family = draw.choice([self.convolution, self.convolution, self.pool, self.normalization, self.rearrangement])
        return self.activation_entry() if draw.random() < 0.2 else family()

    def convolution(self) -> Entry:
        draw = self.random
        kind = draw.choice(["conv2d"] * 4 + ["depthwise_conv2d", "separable_conv2d", "conv2d_transpose"])
        body = self.window() | self.sugar()
        if kind == "conv2d_transpose":
            body["padding"] = draw.choice(["same", "valid", 1])
            if body["padding"] == 1 and draw.random() < 0.5:
                body["output_padding"] = 1
        elif draw.random() < 0.2:
            body["dilation"] = draw.choice([2, [1, 2], 3])
        if kind != "depthwise_conv2d":
            body["filters"] = draw.choice([1, 2, 4, 8, "${width}"])
        if kind == "conv2d" and draw.random() < 0.3:
            body["groups"] = draw.choice([2, 4])
        if kind in ("depthwise_conv2d", "separable_conv2d"):
            body["depth_multiplier"] = draw.choice([1, 1, 2])
        return {kind: body}

    def pool(self) -> Entry:
        draw = self.random
        kind = draw.choice(
            ["max_pool2d", "max_pool2d", "avg_pool2d", "avg_pool2d", "global_avg_pool2d", "global_max_pool2d"]
        )
        return {kind: {"keep_dims": draw.random() < 0.7} if kind.startswith("global") else self.window()}

    def normalization(self) -> Entry:
        draw = self.random
        kind = draw.choice(
            [*NORMALIZERS, "batch_norm", "layer_scale", "bias_add", "prelu", "maxout", "softmax", "dropout"]
        )
        body: dict[str, Any] = dict(NORMALIZERS.get(kind, {}))
        if kind == "group_norm":
            body["groups"] = draw.choice([1, 2, 4])
        elif kind == "layer_norm":
            body["axes"] = draw.choice(["channels", "all"])
        elif kind == "local_response_norm":
            body = {"depth_radius": draw.choice([1, 2, 5]), "beta": draw.choice([0.5, 0.75])}
        elif kind == "maxout":
            body["units"] = draw.choice([1, 2, 4])
        elif kind == "batch_norm":
            body = {"scale": draw.random() < 0.5, "center": draw.random() < 0.8}
        return {kind: body}

    def rearrangement(self) -> Entry:
        draw = self.random
        return draw.choice(
            [
                {"pad": {"padding": draw.choice([1, [1, 0], [[0, 1], [2, 0]]])}},
                {"pad": {"padding": 1, "mode": draw.choice(["reflect", "constant"]), "value": 0.5}},
                {"crop": draw.choice([{"cut": 1}, {"cut": [[1, 0], [0, 1]]}, {"size": 3}, {"size": [2, 4]}])},
                {"resize": {"scale": draw.choice([2, [2, 1]]), "method": draw.choice(["nearest", "bilinear"])}},
                {"resize": {"size": draw.choice([5, [7, 3], 4]), "method": draw.choice(["nearest", "bilinear"])}},
                {
                    "resize": {
                        "scale": 2,
                        "method": "bilinear",
                        "coordinates": draw.choice(["align_corners", "asymmetric"]),
                    }
                },
                {"space_to_depth": 2},
                {"depth_to_space": 2},
                {"channel_shuffle": draw.choice([2, 4])},
                {"slice": {"start": draw.choice([0, 1]), "stop": draw.choice([2, 3, None])}},
                {"slice": {"stop": 2, "axis": draw.choice(["height", "width"])}},
                {"scale": 0.5},
                {"reshape": draw.choice([[-1], [-1, 2], [4, -1, 2], [1, 1, -1]])},
                "flatten",
                {"fully_connected": {"units": 6} | self.sugar()},
            ]
        )


def shapes(plan: Plan) -> dict[str, Shape]:
    """What a merge may read: inputs, and layers by full name."""
    found: dict[str, Shape] = {each.name: each.shape for each in plan.graph.inputs}
    return found | {planned.node.name: planned.shape for planned in plan.nodes if "/" not in planned.node.name}
