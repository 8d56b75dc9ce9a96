"""The blocks that come with graphc: counts as the papers' authors and libraries have them, and everything of them told.

What they compute is compared with PyTorch in `test_twins.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from graphc.compiler import plan_model
from graphc.graph import Plan
from graphc.passes.expectations import totals
from graphc.report.explain import explain_word
from graphc.report.library import library_words
from graphc.spec.library import library
from graphc.spec.model import read_spec, read_spec_text
from graphc.spec.zoo import zoo_folder
from graphc.verify import verify
from tests.zoo.slim import weights

README = (zoo_folder() / "README.md").read_text(encoding="utf-8")

CASES: dict[str, tuple[str, int]] = {
    "squeeze_excitation": ("[squeeze_excitation: {filters: 16, reduced: 4}]", 148),
    "cbam": ("[cbam: {filters: 16, reduced: 4}]", 230),
    "inverted_residual": (
        """
        - inverted_residual: [16, 16]
        - inverted_residual: {filters: 24, in_filters: 16, stride: 2}
        - inverted_residual:
            {filters: 24, in_filters: 24, expanded: 40, kernel: 5, reduced: 12, activation: hard_swish}
        - inverted_residual: {filters: 24, in_filters: 24, expansion: 1}""",
        15668,
    ),
    "basic_residual": ("[basic_residual: 16, basic_residual: {filters: 32, in_filters: 16, stride: 2}]", 19456),
    "bottleneck_residual": (
        """
        - bottleneck_residual: {filters: 64, in_filters: 16, stride: 2}
        - bottleneck_residual: {filters: 64, groups: 4, width: 32, dilation: 2}""",
        12160,
    ),
    "c2f": ("[c2f: {filters: 32, times: 2}, c2f: {filters: 24, shortcut: false}]", 16800),
    "sppf": ("[sppf: {filters: 32, in_filters: 16}]", 1312),
    "aspp": ("[aspp: {filters: 8, rate1: 2, rate2: 4, rate3: 6}]", 4224),
    "fpn": (
        """
        - max_pool2d: {name: c4, kernel: 2}
        - max_pool2d: {name: c5, kernel: 2}
        - fpn: {name: fpn, filters: 8, inputs: [x, c4, c5]}
        - resize: {name: p4, scale: 2, inputs: fpn/p4}
        - resize: {name: p5, scale: 4, inputs: fpn/p5}
        - concat: {inputs: [fpn, p4, p5]}""",
        2160,
    ),
    "ghost_module": ("[ghost_module: 33, ghost_module: {filters: 31, ratio: 3, kernel: 3, stride: 2}]", 4158),
    "dense_block": ("[dense_block: {times: 3, growth: 8}, dense_transition: 20]", 10848),
    "hourglass": ("[hourglass: {levels: 3, filters: 16}, preactivated_residual: {filters: 24, in_filters: 16}]", 12312),
}
"""Block -> layers that use it on 32×32×16, and how many variables the twin has that is written in PyTorch."""


def plan_of(name: str) -> Plan:
    head = f"graphc: 1\ninclude: [{library()[name][0]}]\ninputs: {{x: [N, 32, 32, 16]}}\n"
    return plan_model(read_spec_text(f"{head}layers: {CASES[name][0]}\n"))


@pytest.mark.parametrize("name", CASES)
def test_counts_and_numpy_is_onnxruntime(name: str) -> None:
    plan = plan_of(name)
    assert totals(plan)["params"] == CASES[name][1]
    compared = verify(plan, weights(plan), batch=2, threads=1)
    assert compared
    assert not [each for each in compared if each.error > 1e-4]


def test_every_block_has_a_case_or_is_used_by_one() -> None:
    used = {word for name in CASES for word in (name, "c2f_link", "dense_transition", "preactivated_residual")}
    assert set(library()) == used


@pytest.mark.parametrize("name", library())
def test_every_block_and_parameter_is_told(name: str) -> None:
    included, block = library()[name]
    assert block.description.endswith(".")
    assert set(block.param_descriptions) == set(block.params)
    assert f"`{included.removeprefix('zoo/blocks/')}`" in README
    (row,) = [line for line in README.splitlines() if f"`{name}`: " in line]
    assert all(f"`{each}`" in row for each in block.params)
    shown = explain_word(name, "table")
    assert included in shown
    assert all(f" {each} " in shown for each in block.params)
    assert name in explain_word("blocks", "table")


@pytest.mark.parametrize("word", library_words(), ids=lambda word: word.name)
def test_every_example_is_one(word, tmp_path: Path) -> None:
    """In a folder of its own: nothing of the zoo lies beside it."""
    (example,) = yaml.safe_load(word.example)
    (arguments,) = example.values()
    inputs: Sequence[str] = arguments.get("inputs", ["x"])
    maps = {each: ["N", 64 >> i, 64 >> i, 64] for i, each in enumerate(inputs)}
    spec = {"graphc": 1, "include": [library()[word.name][0]], "inputs": maps, "layers": [example]}
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    assert plan_model(read_spec(tmp_path / "net.yaml")).nodes
