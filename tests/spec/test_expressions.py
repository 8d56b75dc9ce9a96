"""The small language between `${` and `}`: what it gives, and all that it refuses."""

from __future__ import annotations

import ast
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graphc.errors import Place, SpecError
from graphc.spec.expressions import evaluate, references, substitute
from graphc.spec.source import SpecList, SpecMap, load_text

NAMES = {"width": 0.5, "n": 4, "mode": "fast", "yes": True, "sizes": [1, 2], "nothing": None}
HERE = Place("a.yaml", 3, 7)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("2 ** 3 ** 2", 512),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("-7 % 3", 2),
        ("7 / 2", 3.5),
        ("+n", 4),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("010", 10),
        ("1 < 2 < 3", True),
        ("3 > 2 > 2", False),
        ("not 1 == 2", True),
        ("not n < 2 and yes", True),
        ("yes and n", 4),
        ("false or mode", "fast"),
        ("n if yes else 1 / 0", 4),
        ("1 / 0 if false else 3", 3),
        ("1 if n > 5 else 2 if n > 3 else 3", 2),
        ("mode == 'fast'", True),
        ("mode != \"fast\"", False),
        ("mode == 4", False),
        ("1 == true", False),
        ("null == nothing", True),
        ("none", None),
        ("min(3, 1, 2)", 1),
        ("max(n)", 4),
        ("round(2.5)", 2),
        ("round(2.567, 2)", 2.57),
        ("ceil(1.2) + floor(1.8)", 3),
        ("abs(-3)", 3),
        ("int(3.7)", 3),
        ("sqrt(16)", 4.0),
        ("divisible(32 * 0.35, 8)", 16),  # 11.2: 8 would be more than a tenth below
        ("divisible(24 * width, 8)", 16),
        ("divisible(1, 8)", 8),
        ("divisible(96, 8)", 96),
        ("2**62 + (2**62 - 1)", 2**63 - 1),
        ("1" + " + 1" * 249, 250),
    ],
)  # fmt: skip
def test_values_are_those_of_python(text, value):
    found = evaluate(text, NAMES)
    assert found == value
    assert type(found) is type(value)


OPERATORS = st.sampled_from(["+", "-", "*", "/", "//", "%", "<", "<=", ">", ">=", "==", "!=", "and", "or"])
NUMBERS = st.sampled_from(["1", "2", "3", "0.5", "n", "width"])
EXPRESSIONS = st.recursive(
    NUMBERS,
    lambda inner: (
        st.builds("{} {} {}".format, inner, OPERATORS, inner)
        | st.builds("({})".format, inner)
        | st.builds("-{}".format, inner)
        | st.builds("({} if {} else {})".format, inner, inner, inner)
    ),
    max_leaves=12,
)


def compares_a_condition(text):
    """Whether a condition's result is asked to be equal to something."""
    for node in ast.walk(ast.parse(text, mode="eval")):
        if isinstance(node, ast.Compare) and any(isinstance(each, (ast.Eq, ast.NotEq)) for each in node.ops):
            operands = [node.left, *node.comparators]
            if len(operands) > 2 or any(isinstance(each, (ast.Compare, ast.BoolOp, ast.IfExp)) for each in operands):
                return True
    return False


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS)
def test_precedence_and_arithmetic_are_pythons(text):
    assume(not compares_a_condition(text))  # 1 == true is false here
    names = {"n": 4, "width": 0.5}
    try:
        found = evaluate(text, names)
    except SpecError:
        return  # a comparison's result in arithmetic, a division by zero
    assert found == eval(text, {"__builtins__": {}}, names)


RESOURCES = {
    "9**9**9": "too large",
    "9**(9**7)": "too large",
    "2**63": "2\\*\\*63",
    "-2**63": "2\\*\\*63",
    "9223372036854775808": "2\\*\\*63",
    "9" * 900: "too large",
    "1e400": "not a finite",
    "1e308 * 10": "not a finite",
    "int(1e300)": "too large",
    "floor(1e300)": "too large",
    "2.0**5000": "too large",
    "(" * 250 + "1" + ")" * 250: "too deep",
    "-" * 900 + "1": "too deep",
    "not " * 200 + "1": "too deep",
    "2**" * 200 + "1": "too deep",
    "min(" * 150 + "1" + ")" * 150: "too deep",
    "1" + "+1" * 100_000: "may have 1,000 characters",
    "a" + ".b" * 100_000: "may have 1,000 characters",
    "1 / 0": "divides by zero",
    "0 // 0": "divides by zero",
    "10 % 0": "divides by zero",
    "0 ** -1": "divides by zero",
    "sqrt(-1)": "at least 0",
    "(-8) ** 0.5": "negative number",
    "round(1.5, 10**9)": "30 digits",
    "divisible(3, 0)": "at least 1",
    "divisible(3, 0.5)": "at least 1",
}


@pytest.mark.parametrize("text", RESOURCES)
def test_results_depth_and_length_are_bounded(text):
    with pytest.raises(SpecError, match=RESOURCES[text]) as caught:
        evaluate(text, NAMES, HERE)
    assert caught.value.place == HERE
    assert len(str(caught.value)) < 300


ESCAPES = [
    "__import__('os')", "__import__", "__builtins__", "().__class__", "().__class__.__bases__[0].__subclasses__()",
    "n.real", "n.__class__", "mode.format(n)", "'{0.__class__}'.format(1)", "mode.__reduce__()", "mode.gi_frame",
    "(x for x in sizes).gi_frame", "[x for x in sizes]", "{x for x in sizes}", "{'a': 1}", "[1, 2]", "{1}",
    "sizes[0]", "sizes[-1]", "mode[0]", "mode[:]", "lambda: 1", "lambda x: x", "(lambda: 1)()", "n := 3", "(n := 3)",
    "n = 3", "n += 1", "n == 3; n", "1\nn = 2", "import os", "from os import path", "exec('1')", "eval('1')",
    "compile('1', '', 'eval')", "open('/etc/passwd')", "getattr(n, 'real')", "setattr(n, 'a', 1)", "globals()",
    "locals()", "vars()", "dir()", "type(n)", "object()", "str(n)", "print(1)", "input()", "breakpoint()", "exit()",
    "f'{n}'", "b'1'", "r'1'", "u'1'", "'a' 'b'", "'a' + 'b'", "'a' * 10**10", "mode * 3", "mode % n", "mode < 'z'",
    "sizes + sizes", "sizes * 3", "sizes == sizes", "n in sizes", "n is n", "n not in sizes", "*sizes", "**sizes",
    "max(*sizes)", "max(n, key=min)", "max(sizes)", "max()", "min", "n()", "n(1)", "1()", "(1, 2)", "()", "1,", "...",
    "1 << 10**10", "1 >> 1", "n & 1", "n | 1", "n ^ 1", "~n", "n @ n", "n!", "n ?: 1", "n && 1", "n || 1", "!n",
    "1_000", "0x10", "0b1", "1j", "1.2.3", "1e", "3n", "n 3", "1 2", "1 +", "* 2", "+", "(", ")", "(1", "1)", "",
    " ", "if", "n if", "n if 1", "if 1 else 2", "and", "1 and", "not", "else", "await n", "yield n", "@n", "#n",
    "n # x", "`n`", "$n", "${n}", "\\x6e", "ｎ", "＿＿class＿＿", "n\u200b", "１", "\u0661", "n\x00", "а", "µ", "∞",
    "nan", "inf", "yes + 1", "-yes", "yes < 2", "nothing + 1", "abs(yes)", "-mode", "'unclosed", "\"unclosed", "N",
    "Width",
]  # fmt: skip


@pytest.mark.parametrize("text", ESCAPES)
def test_everything_else_is_refused(text):
    with pytest.raises(SpecError) as caught:
        evaluate(text, NAMES, HERE)
    assert caught.value.code in ("G130", "G131", "G132", "G133")
    assert caught.value.place == HERE


def test_unknown_names_are_reported_with_the_nearest():
    with pytest.raises(SpecError, match=r"no variable 'widht' \(did you mean 'width'\?\)"):
        evaluate("widht * 2", NAMES)
    with pytest.raises(SpecError, match=r"no function 'flor' \(did you mean 'floor'\?\)"):
        evaluate("flor(2)", NAMES)
    with pytest.raises(SpecError, match="min is a function"):
        evaluate("min + 1", NAMES)


PIECES = st.sampled_from(
    ["n", "width", "(", ")", "+", "-", "*", "/", "//", "%", "**", ",", "<", "<=", "==", "and", "or", "not", "if",
     "else", "min", "max", "1", "2.5", "'a'", ".", "[", "$", "\0", "é"]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=25).map(" ".join) | st.text(max_size=40))
def test_any_text_has_a_bounded_value_or_is_a_spec_error(text):
    try:
        found = evaluate(text, NAMES)
    except SpecError:
        return
    if isinstance(found, (int, float)):
        assert math.isfinite(found)
        assert abs(found) < 2**63 or isinstance(found, float)


def test_a_whole_expression_keeps_its_type_and_a_part_becomes_text():
    assert substitute("${n * 2}", NAMES) == 8
    assert substitute("${sizes}", NAMES) is NAMES["sizes"]
    assert substitute("conv_${n}x${n}${yes}", NAMES) == "conv_4x4true"
    assert substitute(" ${n}", NAMES) == " 4"
    assert substitute("${'}'}", NAMES) == "}"
    assert substitute("no $ {n} here", NAMES) == "no $ {n} here"


def test_trees_keep_their_places_and_untouched_ones_are_the_same_object():
    tree = load_text("a: [1, '${n}']\nb: {c: [x]}\n", "a.yaml")
    result = substitute(tree, NAMES)
    assert result == {"a": [1, 4], "b": {"c": ["x"]}}
    assert isinstance(result, SpecMap)
    assert isinstance(result["a"], SpecList)
    assert result["a"].places == tree["a"].places
    assert result.key_places == tree.key_places
    assert result["b"] is tree["b"]
    assert tree["a"] == [1, "${n}"]


def test_an_error_in_a_tree_is_at_the_value():
    tree = load_text("a: 1\nb: [x, '${1 / 0}']\n", "a.yaml")
    with pytest.raises(SpecError, match="divides by zero") as caught:
        substitute(tree, NAMES)
    assert caught.value.place == Place("a.yaml", 2, 8)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("${n", "without }"),
        ("a ${n} ${", "without }"),
        ("${" * 4_000, "without }"),
        ("${n${n}}", "unexpected '\\$'"),
        ("${}", "found the end"),
        ("a${sizes}", "is a list"),
        ("x" * 10_001 + "${n}", "10,000 characters"),
    ],
)
def test_texts_that_cannot_be_filled_in(text, part):
    with pytest.raises(SpecError, match=part):
        substitute(text, NAMES, HERE)


def test_text_cannot_grow_without_bound():
    with pytest.raises(SpecError, match="grow beyond"):
        substitute("${long}${long}${long}", {"long": "x" * 4_000}, HERE)


def test_inserted_lists_cannot_grow_without_bound():
    tree = load_text("[" + "'${long}', " * 200 + "]", "a.yaml")
    with pytest.raises(SpecError, match="100,000 parts"):
        substitute(tree, {"long": [0] * 1_000})


def test_references_are_the_names_in_use():
    tree = load_text("a: '${n + max(m, 1)} ${true}'\nb: ['${\"z\"}${mode}', 5, '${broken']", "a.yaml")
    assert references(tree) == {"n", "m", "mode"}


def test_references_of_texts_that_are_not_closed_end_there():
    assert references(["${a}" + "${" * 5_000 + "${b}"]) == {"a"}
