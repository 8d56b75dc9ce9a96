"""What is said of other people's names, and of tensors by name: rules of `--map` and `pretrained:`, kept ranges."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import ClassVar

from graphc.compiler import plan_model
from graphc.conversion import read_rules
from graphc.graph import Plan
from graphc.name_rules import NameRule
from graphc.quantization.ranges import read_ranges
from graphc.spec.model import read_spec, read_spec_text
from graphc.spec.pretrained import NET_KEYS, SOURCE_KEYS, read_pretrained
from graphc.weights import sources
from tests.fuzz.harness import Harness

SPEC = """\
graphc: 1
name: net
vars: {classes: 10, depth: 2}
inputs: {image: [N, 8, 8, 3]}
layers:
  - repeat: {times: "${depth}", name: stage, layer: {conv2d: {filters: 4, kernel: 3}}}
  - flatten
  - fully_connected: {name: logits, units: "${classes}"}
"""
PRETRAINED = """\
pretrained:
  torchvision:
    layout: OIHW
    ranks: {"logits*": 4}
    preprocess: {mean: [0.485, 0.456, 0.406]}
    rules:
      - fc: logits
      - within: {"layer{s}": "stage/conv2d_{s+1}"}
        rules: {conv: "", "bn{i}": "BatchNorm_{2*i}"}
      - "aux.{*rest}": "aux/{*rest}"
    nets:
      small: {set: {depth: 2, classes: 1000}, labels: imagenet}
      large: {refused: "it has another head", use: none}
"""
NAMES = ("fc.weight", "fc.bias", "layer0.conv.weight", "layer11.bn1.running_mean", "aux.1.2.weight", "1" * 60 + "y")
TENSORS = ("image", "stage/conv2d", "logits/ü")


@cache
def planned() -> Plan:
    return plan_model(read_spec_text(SPEC))


class Rules(Harness):
    """A file for `--map`."""

    name = "rules of names"
    suffix = ".yaml"
    is_text = True
    parts: ClassVar[tuple[bytes, ...]] = (b"{i}", b"{i+1}", b"{2*i-1}", b"{*rest}", b"{a}{b}{c}", b"{", b"}")

    def seeds(self) -> Sequence[bytes]:
        return [
            b'fc: logits\n"layer{s}.conv": "stage/conv2d_{s+1}"\n"aux.{*rest}": "aux/{*rest}"\n',
            json.dumps({"a{i}.b{k}": "b{k}/a{2*i+3}", "fc.weight": "logits/weights"}).encode(),
        ]

    def words(self) -> Sequence[bytes]:
        return [*self.parts, *(name.encode() for name in NAMES)]

    def read(self) -> None:
        compare(read_rules(self.path))


class Pretrained(Rules):
    """`pretrained:` of a spec."""

    name = "spec, pretrained"

    def seeds(self) -> Sequence[bytes]:
        return [(SPEC + PRETRAINED).encode()]

    def words(self) -> Sequence[bytes]:
        return [*super().words(), *(key.encode() for key in (*SOURCE_KEYS, *NET_KEYS, "within"))]

    def read(self) -> None:
        for source in read_pretrained(read_spec(self.path)).sources.values():
            compare(source.rules)


class Ranges(Harness):
    """A file of `--save-ranges`, given to `--calibrate`."""

    name = "ranges.json"
    suffix = ".json"

    def seeds(self) -> Sequence[bytes]:
        return [json.dumps({name: [-1.5, 3] for name in TENSORS}, ensure_ascii=plain).encode() for plain in (0, 1)]

    def words(self) -> Sequence[bytes]:
        return [b"NaN", b"-Infinity", b"1e999", b"1" * 400, b"1" * 5000, b"[" * 2000, b"\\ud800", b"true", b"null"]

    def read(self) -> None:
        read_ranges(self.path, TENSORS)


def compare(rules: Sequence[NameRule]) -> None:
    """Both ways."""
    sources(NAMES, rules, planned())
    for rule in rules:
        rule.to_theirs("stage/conv2d_1")
