"""What small specs cost that ask for much, and what they are told."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import graphc
from graphc.compiler import plan_model
from graphc.errors import SpecError, Warn
from graphc.passes.entries import evaluated
from graphc.spec.layout import laid_out
from graphc.spec.model import read_spec, read_spec_text
from graphc.spec.source import load_text
from tests.costs import SMALL, little

HEAD = "graphc: 1\nname: net\ninputs: {x: [N, 8, 8, 3]}\n"
OPEN = "graphc: 1\nname: net\ninputs: {x: [N, H, W, 3]}\n"


def within(depth: int) -> str:
    """Rules of names within two others each, so deep."""
    inner = "{a: b}"
    for level in range(depth):
        inner = f'{{within: {{"a{level}": b, "c{level}": d}}, rules: {inner}}}'
    return inner


def variables(*lines: str) -> str:
    return HEAD + "vars:\n" + "".join(f"  {line}\n" for line in lines) + "layers: [relu]\n"


REFERENCES = "".join(f"${{v{number}}}" for number in range(1_000))
COSTLY = {
    "a text that aliases repeat": (
        variables("a: 1", f't: &t "{"${a}" * 2_400}"', f"u: [{'*t,' * 100_000}]"),
        "at most 2,000,000 characters of texts",
    ),
    "texts that grow": (
        variables(f'a: "{"x" * 9_900}"', "u: [" + '"${a} ",' * 10_000 + "]"),
        "more than 4,000,000 characters in all",
    ),
    "variables that need many": (
        variables(
            *(f"v{number}: 1" for number in range(1_000)),
            f'w: &t "{REFERENCES}"',
            *(f"w{number}: *t" for number in range(8_000)),
        ),
        "at most 2,000,000 characters of texts",
    ),
    "rules within rules": (
        f"{HEAD}layers: [relu]\npretrained: {{timm: {{rules: [{within(26)}]}}}}\n",
        "more than 10,000 rules",
    ),
    "a scope of many kinds": (
        f'{HEAD}arg_scope:\n  ? "{", ".join(["conv2d"] * 120_000)}"\n  : {{kernel: 3, stride: 1, filters: 3}}\n'
        "layers: [conv2d: {filters: 3}]\n",
        "at most 2,000,000 arguments",
    ),
    "a scope in a repeat": (
        f"{HEAD}layers:\n - repeat: {{times: 16000, layer: {{group: {{arg_scope: "
        f"[{'{conv2d: {kernel: 3, padding: same, stride: 1, filters: 3}},' * 200}], layers: [relu]}}}}}}\n",
        "at most 2,000,000 arguments",
    ),
    "a large value in a scope": (
        f"{HEAD}arg_scope: {{conv2d: {{kernel: 1, filters: 3, weights_initializer: "
        f"{{constant: [{'[[1],[1],[1]],' * 3_000}]}}}}}}\nlayers: [repeat: {{times: 3000, layer: conv2d}}]\n",
        "at most 2,000,000 arguments",
    ),
    "a size of many symbols": (
        "graphc: 1\nname: net\ninputs:\n"
        + "".join(f"  i{number}: [N, h{number}, 4, 3]\n" for number in range(4_000))
        + f"layers:\n - concat: {{axis: height, inputs: [{', '.join(f'i{n}' for n in range(4_000))}]}}\n",
        "a sum of more than 64 parts",
    ),
    "a product of sums": (
        f'{OPEN}layers: [reshape: {{shape: ["{"*".join(f"(a{n}+b{n})" for n in range(16))}", 3]}}]\n',
        "a sum of more than 64 parts",
    ),
    "a size that is divided without end": (
        f"{OPEN}layers: [repeat: {{times: 300, layers: [resize: {{scale: 3}}, max_pool2d: [2, 2]]}}]\n",
        "in turn|2\\*\\*63",
    ),
    "a number without end": (f"{OPEN}layers: [repeat: {{times: 2000, layer: {{resize: 1000}}}}]\n", r"2\*\*63"),
    "a size without end": (
        f"{HEAD}layers: [repeat: {{times: 2000, layer: {{resize: 1000}}}}]\n",
        "its output would be",
    ),
    "a stride without end": (
        f"{HEAD}layers: [repeat: {{times: 1100, layer: {{max_pool2d: {{kernel: 2, stride: 2, padding: same}}}}}}]\n",
        r"2\*\*63 or more inputs apart",
    ),
    "a large scale": (f"{OPEN}layers: [resize: 1000000000]\n", "told apart|lie differently"),
    "large scales": (f"{OPEN}layers: [resize: 1000, resize: 1000]\n", "told apart"),
    "a large stride": (
        f"{OPEN}layers: [conv2d_transpose: {{filters: 1, kernel: 1, stride: 1000000000}}]\n",
        "told apart",
    ),
}


@pytest.mark.parametrize("case", COSTLY)
def test_what_would_take_long_is_refused_at_once(case: str) -> None:
    text, sentence = COSTLY[case]
    assert len(text) <= SMALL
    with little(), pytest.raises(SpecError, match=sentence) as caught:
        plan_model(read_spec_text(text, "net.yaml"))
    assert caught.value.place is not None
    assert all(len(line) < 2_500 for line in str(caught.value).splitlines())


GROUPS = 3_000
FINE = {
    "names that stand for names": HEAD
    + "layers:\n - relu: {name: r}\n"
    + "".join(f" - group: {{name: g{n}, inputs: g{n + 1}, layers: []}}\n" for n in range(GROUPS))
    + f" - group: {{name: g{GROUPS}, inputs: r, layers: []}}\n - relu: {{inputs: g0}}\n",
    "inputs from below": HEAD
    + f"layers:\n - add: {{name: sum, inputs: [{', '.join(f'l{n}' for n in range(5_000))}]}}\n"
    + "".join(f" - relu: {{name: l{n}, inputs: x}}\n" for n in range(5_000))
    + "outputs: {y: sum}\n",
    "uses of a block beside many variables": HEAD
    + f"vars: {{{', '.join(f'v{n}: 1' for n in range(9_000))}}}\nblocks: {{b: {{params: [a], layers: [relu]}}}}\n"
    + "layers:\n"
    + "".join(f" - b: {n}\n" for n in range(4_000)),
}


@pytest.mark.parametrize("case", FINE)
def test_what_is_large_is_read_in_proportion(case: str) -> None:
    with little():
        plan_model(read_spec_text(FINE[case], "net.yaml"))


def test_merged_inputs_of_two_sizes_are_compared_once_a_size() -> None:
    text = "graphc: 1\ninputs: {a: [N, 1, 1, 3], b: [N, 5, 5, 3]}\nlayers:\n - concat: {inputs: [" + "a," * 20_000
    with little(), pytest.raises(SpecError, match="expects otherwise equal shapes"):
        plan_model(read_spec_text(text + "b]}\n", "net.yaml"))


def test_a_name_that_stands_for_itself() -> None:
    text = (
        f"{HEAD}layers: [group: {{name: a, inputs: b, layers: []}}, group: {{name: b, inputs: a, layers: []}}, relu]\n"
    )
    with pytest.raises(SpecError, match=r"'[ab]' stands for itself"):
        plan_model(read_spec_text(text, "net.yaml"))


def test_tags_are_not_compared_with_each_other() -> None:
    text = "".join(f"%TAG !a{number}! x\n" for number in range(60_000)) + "---\n" + HEAD + "layers: [relu]\n"
    with little(), pytest.raises(SpecError, match=r"^net.yaml:1:1: .* more than 100 lines with %TAG"):
        read_spec_text(text, "net.yaml")


@pytest.mark.parametrize(
    "text", ["x:\n" + " " * 200_000 + "b: 1\n", "x: [a," + " " * 200_000 + "b]\n", "- " + " " * 200_000 + "a\n"]
)
def test_spaces_are_looked_at_once(text: str) -> None:
    with little():
        assert len(laid_out(text, "net.yaml")) < 20


def test_files_are_laid_on_each_other_within_bounds(tmp_path: Path) -> None:
    for number in range(40):
        named = ", ".join(f"f{other}.yaml" for other in range(number + 1, 40))
        (tmp_path / f"f{number}.yaml").write_text(f"include: [{named}]\n")
    (tmp_path / "f39.yaml").write_text(f"vars: {{{', '.join(f'v{n}: 1' for n in range(9_000))}}}\n")
    (tmp_path / "net.yaml").write_text(f"{HEAD}include: [f0.yaml]\nlayers: [relu]\n")
    with little(), pytest.raises(SpecError, match="keys of files are laid on each other"):
        read_spec(tmp_path / "net.yaml")


def test_a_file_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(f"{HEAD}include: [b.yaml, b.yaml]\nlayers: [relu]\n")
    (tmp_path / "b.yaml").write_text("vars: {a: 1}\n")
    with pytest.raises(SpecError, match=r"include names 'b\.yaml' twice"):
        read_spec(tmp_path / "net.yaml")


def doubled(times: int) -> Any:
    found: list[Any] = [1]
    for _ in range(times):
        found = [found, found]
    return found


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"vars": {"a": doubled(30)}}, "more than 200,000 keys and values"),
        ({"vars": {"a": 10**5000}}, "integers are below"),
        ({"expect": {"params": 10**400}}, "integers are below"),
        ({"layers": [{"conv2d": [10**5000, 3]}]}, "integers are below"),
        ({"vars": {"a": "\ud800"}}, "half of a character"),
        ({"vars": {"\ud800": 1}}, "half of a character"),
    ],
    ids=["shared", "variable", "budget", "argument", "text", "key"],
)
def test_a_mapping_is_held_to_what_a_file_can_say(more: dict[str, Any], sentence: str) -> None:
    net = {"graphc": 1, "name": "net", "inputs": {"x": ["N", 8, 8, 3]}, "layers": ["relu"], **more}
    with little(), pytest.raises(SpecError, match=sentence):
        graphc.load(net)


@pytest.mark.parametrize(
    "value", [10**5000, float("nan"), object(), {"b": float("inf")}], ids=["large", "nan", "object", "inside"]
)
def test_so_are_variables(value: Any) -> None:
    net = {"graphc": 1, "name": "net", "inputs": {"x": ["N", 8, 8, 3]}, "layers": ["relu"], "vars": {"a": 1}}
    with pytest.raises(SpecError, match=r"^--set a"):
        graphc.load(net, a=value)
    assert graphc.load({**net, "layers": [{"repeat": {"times": "${a}", "layer": "relu"}}]}, a=2).totals["params"] == 0


def test_an_error_is_one_line_of_bounded_length() -> None:
    lines = str(SpecError("G100", "a\nb\x1b[31m" + "c" * 10_000, notes=["d\re"])).splitlines()
    assert lines[0].startswith(r"error[G100]: a\x0ab\x1b[31mc")
    assert lines[1:] == [r"  d\x0de"]
    assert len(lines[0]) < 2_100
    assert "\n" not in str(Warn("G200", "a\nb"))


def test_long_expressions_count_for_more() -> None:
    tree = load_text(f"relu: {{when: '${{{'+'.join('1' * 480)}}}'}}", "net.yaml")
    assert evaluated(tree) > 100


LARGE = 1_000_000_000


@pytest.mark.parametrize("kind", ["conv2d", "depthwise_conv2d", "max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("padding", ["same", "same_fixed"])
def test_open_sizes_by_large_strides(kind: str, padding: str) -> None:
    filters = "filters: 3, " if kind == "conv2d" else ""
    layer = f"{kind}: {{{filters}kernel: 3, stride: {LARGE}, padding: {padding}}}"
    with little(), suppress(SpecError):  # some are refused
        plan_model(read_spec_text(f"{OPEN}layers: [{layer}]\n", "net.yaml"))


@pytest.mark.parametrize("layer", [f"reshape: [-1, {LARGE}, 1]", "resize: {scale: 0.0000001}"])
def test_open_sizes_by_large_numbers(layer: str) -> None:
    with little(), suppress(SpecError):
        plan_model(read_spec_text(f"{OPEN}layers: [{layer}]\n", "net.yaml"))


def test_a_large_transposed_kernel_is_refused_at_once() -> None:
    layer = f"conv2d_transpose: {{filters: 3, kernel: [{LARGE}, 3]}}"
    with little(), pytest.raises(SpecError, match="at most"):
        plan_model(read_spec_text(f"{HEAD}layers: [{layer}]\n", "net.yaml"))


@pytest.mark.parametrize("head", [HEAD, OPEN])
@pytest.mark.parametrize("kind", ["max_pool2d", "avg_pool2d"])
def test_a_large_number_of_windows_is_refused_at_once(head: str, kind: str) -> None:
    with little(), pytest.raises(SpecError, match="at most 100,000 are told apart"):
        plan_model(read_spec_text(f"{head}layers: [{kind}: {{output_size: [{LARGE}, 1]}}]\n", "net.yaml"))


EXPRESSION = "${1" + "+0" * 450 + "}"
ALIASED = f'&t "{EXPRESSION}"'


def _of(count: int, item: str) -> str:
    """So many items, the first with the expression, the others with its alias."""
    return ", ".join(item.format(number, "*t" if number else ALIASED) for number in range(count))


@pytest.mark.parametrize(
    "text",
    [
        f"blocks: {{b: {{params: [{_of(100, '{{p{}: {}}}')}], layers: []}}}}\n"
        "layers: [repeat: {times: 9000, layer: b}, relu]",
        f"layers: [repeat: {{times: 4000, layer: {{branches: {{paths: {{r: [relu], "
        f"{_of(500, 'p{}: {{when: {}, layers: []}}')}}}}}}}}}]",
        f"layers: [{_of(5000, 'relu: {{name: r{}, when: {}}}')}]",
        f"blocks: {{b: {{params: [p], layers: []}}}}\nlayers: [{_of(5000, 'b: {{name: b{}, p: {}}}')}, relu]",
        f"arg_scopes: {{{_of(5000, 'o{}: {{conv2d: {{kernel: {}}}}}')}}}\nlayers: [relu]",
        f"layers: [repeat: {{times: 9000, layer: {{group: {{arg_scope: {{conv2d: {{kernel: {ALIASED}, stride: *t}}}}, "
        "layers: []}}}, relu]",
        f"blocks: {{b: {{arg_scope: {{conv2d: {{kernel: {ALIASED}, stride: *t}}}}, layers: []}}}}\n"
        "layers: [repeat: {times: 9000, layer: b}, relu]",
        f"layers: [repeat: {{times: 9000, layer: {{repeat: {{times: {ALIASED}, layer: {{group: {{layers: []}}}}}}}}}}]",
        f"outputs: {{{_of(5000, 'o{}: {}')}}}\nlayers: [relu]",
    ],
)
def test_expressions_are_counted_wherever_they_are_evaluated(text: str) -> None:
    with little(), pytest.raises(SpecError, match=r"more|characters of texts"):
        plan_model(read_spec_text(f"graphc: 1\ninputs: {{x: [N, 8, 8, 3]}}\n{text}\n", "net.yaml"))


def test_rules_within_a_long_name_are_counted_with_their_letters() -> None:
    inner = ", ".join(f"c{number}: d" for number in range(9_000))
    group = f'{{within: {{? "{"a" * 500_000}" : b}}, rules: {{{inner}}}}}'
    text = f"{HEAD}layers: [relu]\npretrained: {{timm: {{rules: [{group}]}}}}\n"
    with little(), pytest.raises(SpecError, match=r"more than 10,000 rules, or of 2,000,000 letters"):
        plan_model(read_spec_text(text, "net.yaml"))


def test_a_name_that_is_read_often_is_looked_up_once() -> None:
    text, indent = f"{HEAD}layers:\n", " "
    for number in range(19):
        text += f"{indent}- group:\n{indent}    name: g{number:047d}\n{indent}    layers:\n"
        indent += "    "
    with little():
        plan_model(read_spec_text(f"{text}{indent}- add: {{inputs: [{'x,' * 180_000}]}}\n", "net.yaml"))


def test_patterns_that_are_written_often_count_as_often() -> None:
    layers = "".join(f" - relu: {{name: a{number}, inputs: x}}\n" for number in range(1_000))
    text = f"{HEAD}layers:\n{layers} - add: {{inputs: [{', '.join(['a*'] * 3_000)}]}}\n"
    with little(), pytest.raises(SpecError, match="at most 2,000,000 arguments"):
        plan_model(read_spec_text(text, "net.yaml"))


def test_memory_is_arranged_for_as_many_tensors_as_there_is_time_for() -> None:
    text = f"{HEAD}layers: [repeat: {{times: 6000, layer: {{max_pool2d: 1}}}}]\nexpect: {{arena: '<= 1e12'}}\n"
    with little(), pytest.raises(SpecError, match="at most 5,000 tensors"):
        plan_model(read_spec_text(text, "net.yaml"))
