"""Specs, recipes, and what the command line says of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import yaml

from graphc.compiler import Limits, lints, plan_model
from graphc.spec.arithmetic import FUNCTIONS
from graphc.spec.expressions import substitute
from graphc.spec.grammar import WORDS
from graphc.spec.model import read_spec, read_spec_text
from graphc.spec.schema import json_schema
from graphc.spec.source import load_text
from graphc.train.recipe import Recipe, read_recipe, read_recipe_text, recipe_schema
from tests.fuzz.harness import Harness, words_of
from tests.random_settings import FromFields
from tests.random_specs import RandomSpec

LIMITS = Limits(layers=500)
"""As many as may be planned in a second."""
SPEC = """\
graphc: 1
name: net
vars: {classes: 10, width: 0.5, depths: [16, 32], wide: "${width * 2 if classes > 5 else 1}"}
inputs: {image: [N, 32, "2*W", 3], other: [N, 4]}
arg_scopes: {small: {conv2d: {kernel: 1}}}
arg_scope:
  conv2d, fully_connected: {activation: relu, weights_regularizer: {l2: 0.0005}}
  conv2d: {kernel: 3, padding: same, normalizer: {batch_norm: {decay: 0.9}}}
blocks:
  unit:
    params: [depth, {size: 3}]
    layers: [conv2d: {name: a, filters: "${depth}", kernel: "${size}"}]
layers:
  - conv2d: &first {name: stem, filters: "${int(64 * width)}", stride: 2, inputs: image}
  - repeat: {times: 2, name: conv1, layer: {conv2d: [16]}}
  - stack: {name: conv2, layer: {conv2d: {kernel: 3}}, args: [8, {filters: 8, stride: 2}]}
  - residual: {name: res, layers: [unit: {depth: 8}]}
  - branches:
      merge: concat
      paths: {one: [conv2d: {filters: 4}], two: [max_pool2d: {kernel: 3, stride: 1, padding: same}]}
  - group: {name: tail, arg_scope: small, layers: [conv2d: {filters: 4}, dropout: {rate: 0.3}]}
  - global_avg_pool2d
  - fully_connected: {name: logits, units: "${classes}", activation: none}
outputs: {logits: logits}
end_points: ["conv1/*", last: tail]
expect: {params: "<= 1e6"}
"""
PART = "vars: {a: 1}\nblocks: {part: {layers: [conv2d: {filters: 2, kernel: 1}]}}\n"
WHOLE = """\
graphc: 1
extends: base.yaml
include: [parts/part.yaml]
vars: {b: "${a + 1}"}
layers: [part, conv2d: {filters: "${b}", kernel: 1}]
"""


@cache
def random_specs() -> tuple[dict[str, Any], ...]:
    return tuple(RandomSpec(seed).spec for seed in range(8))


class SpecYaml(Harness):
    """Read, expanded, planned and linted."""

    name = "spec.yaml"
    suffix = ".yaml"
    is_text = True
    mebibytes = 250

    def seeds(self) -> Sequence[bytes]:
        return [SPEC.encode(), *(yaml.safe_dump(spec, sort_keys=False).encode() for spec in random_specs())]

    def words(self) -> Sequence[bytes]:
        return words_of(json_schema())

    def read(self) -> None:
        lints(plan_model(read_spec(self.path), limits=LIMITS))


class SpecJson(SpecYaml):
    name = "spec.json"
    suffix = ".json"

    def seeds(self) -> Sequence[bytes]:
        return [json.dumps(spec, indent=1).encode() for spec in (yaml.safe_load(SPEC), *random_specs())]


class SpecParts(SpecYaml):
    """A spec with what it extends and includes."""

    name = "spec, of parts"

    def prepare(self) -> None:
        (self.folder / "parts").mkdir(exist_ok=True)
        (self.folder / "parts/part.yaml").write_text(PART)
        (self.folder / "base.yaml").write_text("graphc: 1\ninputs: {image: [N, 8, 8, 3]}\nlayers: [flatten]\n")
        (self.folder / "loop.yaml").write_text("graphc: 1\nextends: input.yaml\n")

    def seeds(self) -> Sequence[bytes]:
        return [WHOLE.encode(), b"graphc: 1\nextends: zoo/lenet\nexpect: null\n"]

    def words(self) -> Sequence[bytes]:
        return [
            b"loop.yaml",
            b"input.yaml",
            b"parts",
            b"../",
            b"zoo/",
            b"/etc/passwd",
            b"~",
            b"file://",
            b"parts/..",
            b"\\",
        ]


class SpecSettings(Harness):
    """`--set` of a spec, several in lines."""

    name = "spec, --set"
    is_text = True
    mebibytes = 250
    known = ("classes", "width", "depths", "wide")

    def seeds(self) -> Sequence[bytes]:
        return [b"classes=7", b"width=0.25\nwide=3", b"depths=[4, 8]", b'wide="${classes * 2}"', b"depths={a: 1}"]

    def words(self) -> Sequence[bytes]:
        return [name.encode() for name in (*self.known, "=", "${classes}", "${depths}", "${wide}", *WORDS)]

    def read(self) -> None:
        settings = self.path.read_text(errors="surrogateescape").split("\n")
        plan_model(read_spec_text(SPEC, "net.yaml", settings), limits=LIMITS)


class ExpressionText(Harness):
    """A text with `${…}`, put in for its value."""

    name = "expressions"
    is_text = True
    seconds = 0.5
    names: ClassVar[dict[str, Any]] = {
        "a": 3, "b": 0.5, "name": "x", "yes": True, "none": None, "many": load_text("[1, [2, 3], {k: 4}]", "many"),
    }  # fmt: skip

    def seeds(self) -> Sequence[bytes]:
        return [
            b"${a + 2*b - 7 // 2 % 3 ** 2}", b"x${name}y${a}", b"${'one' if a > 2 and not yes or b <= 1 else \"two\"}",
            b"${divisible(a * 8, 8) + min(a, b, 4) + round(b, 2) + sqrt(abs(-a))}", b"${1 < a < 4 == yes}", b"${many}",
            b"${max(int(1e3), floor(2.5), ceil(-2.5))}",
        ]  # fmt: skip

    def words(self) -> Sequence[bytes]:
        signs = ("+", "-", "*", "/", "//", "%", "**", "<", "<=", "==", "!=", "(", ")", ",", "${", "}", "'", '"', ".")
        return [word.encode() for word in (*self.names, *FUNCTIONS, *WORDS, *signs, "__class__", "lambda", "1e308")]

    def read(self) -> None:
        substitute(self.path.read_text(errors="surrogateescape"), self.names)


@cache
def recipes() -> tuple[dict[str, Any], ...]:
    """Random ones that are read without an error."""
    found: list[dict[str, Any]] = []
    for seed in range(1000):
        tree = FromFields(seed).group(Recipe)
        text = yaml.safe_dump(tree, sort_keys=False)
        try:
            read_recipe_text(text)
        except Exception:
            continue
        found.append(tree)
        if len(found) == 12:
            break
    return tuple(found)


RECIPE = """\
recipe: 1
model: net.yaml
data: {train: {npz: {path: data.npz}}, workers: 1}
loss: softmax_cross_entropy
optimizer: sgd
learning_rate: 0.1
epochs: 2
"""


class RecipeYaml(Harness):
    name = "recipe.yaml"
    suffix = ".yaml"
    is_text = True

    def seeds(self) -> Sequence[bytes]:
        return [yaml.safe_dump(tree, sort_keys=False).encode() for tree in recipes()]

    def words(self) -> Sequence[bytes]:
        return words_of(recipe_schema())

    def read(self) -> None:
        read_recipe(self.path)


class RecipeJson(RecipeYaml):
    name = "recipe.json"
    suffix = ".json"

    def seeds(self) -> Sequence[bytes]:
        return [json.dumps(tree, indent=1).encode() for tree in recipes()]


class RecipeSettings(RecipeYaml):
    """`--set` of a recipe."""

    name = "recipe, --set"
    suffix = ""

    def seeds(self) -> Sequence[bytes]:
        return [
            b"batch=8", b"clip.global_norm=0.5", b"data.workers=2", b"optimizer=adam",
            b"loss={softmax_cross_entropy: null}",
            b"data.augment=[flip_horizontal, {pad_crop: {pad: 2}}]", b"epochs=3\nschedule=cosine",
        ]  # fmt: skip

    def read(self) -> None:
        settings = self.path.read_text(errors="surrogateescape").split("\n")
        read_recipe_text(RECIPE, overrides=settings)
