"""Text to tree: types, places, limits, and the ways in which a text is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc.errors import Place, SpecError
from graphc.spec.source import LIMITS, Limits, SpecList, SpecMap, load_file, load_text


def refusal(text: str | bytes, limits: Limits = LIMITS) -> SpecError:
    with pytest.raises(SpecError) as caught:
        load_text(text, "a.yaml", limits)
    assert caught.value.place is not None
    return caught.value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        ("1.0e-3", 0.001),
        (".001", 0.001),
        ("1.", 1.0),
        ("-.5", -0.5),
        ("+5", 5),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("9223372036854775807", 2**63 - 1),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2020-01-01", "2020-01-01"),
        ("0b11", "0b11"),
        ("1e", "1e"),
        ("1.2.3", "1.2.3"),
        ("~", None),
        ("Null", None),
        ("", None),
        ("TRUE", True),
        ("false", False),
        ("tRUE", "tRUE"),
        ("'1'", "1"),
        ('"no"', "no"),
        ("!!str 1", "1"),
        ("! 1", "1"),
        ("!!float 1", 1.0),
        ("!!int 0x10", 16),
        ("!!null ''", None),
        ("16*H", "16*H"),
        ('"\\u00e9\\/"', "é/"),
    ],
)
def test_scalars_have_the_core_types_of_yaml_1_2(written, value):
    found = load_text(f"key: {written}", "a.yaml")["key"]
    assert found == value
    assert type(found) is type(value)


def test_places_are_those_of_keys_values_and_containers():
    tree = load_text("a: 1\nb:\n  - x\n  - {c: [2, 3]}\n", "a.yaml")
    assert tree.place == Place("a.yaml", 1, 1)
    assert tree.key_places["b"] == Place("a.yaml", 2, 1)
    assert tree.places["a"] == Place("a.yaml", 1, 4)
    items = tree["b"]
    assert isinstance(items, SpecList)
    assert items.places == [Place("a.yaml", 3, 5), Place("a.yaml", 4, 5)]
    inner = items[1]
    assert isinstance(inner, SpecMap)
    assert inner.places["c"] == Place("a.yaml", 4, 9)
    assert inner["c"].places[1] == Place("a.yaml", 4, 13)


def test_json_and_yaml_of_one_content_are_equal():
    content = {"graphc": 1, "a b": [1, 2.5, True, None, "no", {"x": 'é/\\"\n'}], "empty": {}, "none": []}
    assert load_text(json.dumps(content, indent="\t"), "a.json") == content
    assert load_text(json.dumps(content, ensure_ascii=False), "a.json") == content


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Cn", "Zl", "Zp"]))
VALUES = (
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
TREES = st.recursive(
    VALUES | TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_whatever_json_writes_is_read_back(content):
    assert load_text(json.dumps({"key": content}, ensure_ascii=False), "a.json") == {"key": content}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_encoding_and_line_end_gives_one_tree(encoding, newline):
    text = newline.join(["a: 1", "b: é", "c: [x]"])
    data = text.encode(encoding)
    if encoding == "utf-16-le":
        data = b"\xff\xfe" + data
    if encoding == "utf-16-be":
        data = b"\xfe\xff" + data
    tree = load_text(data, "a.yaml")
    assert tree == {"a": 1, "b": "é", "c": ["x"]}
    assert tree.key_places["a"] == Place("a.yaml", 1, 1)
    assert tree.places["c"] == Place("a.yaml", 3, 4)


ALIAS_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join(['*' + before] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i}\n  <<: [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))

REFUSED = [
    ("", "G103", "the file is empty", (0, 0)),
    ("  \n\n", "G103", "the file is empty", (0, 0)),
    ("# nothing\n", "G103", "holds only comments", (0, 0)),
    ("---\n", "G103", "holds only comments", (0, 0)),
    ("a: 1\n---\nb: 2\n", "G103", "a second document", (2, 1)),
    ("a: 1\na: 2\n", "G105", "written twice, first at a.yaml:1:1", (2, 1)),
    ('{"lr": 1, "lr": 2}', "G105", "written twice, first at a.yaml:1:2", (1, 11)),
    ("1: x", "G106", 'found 1: write "1"', (1, 1)),
    ("true: x", "G106", 'found true: write "true"', (1, 1)),
    ("~: x", "G106", "found ~", (1, 1)),
    ("? [a]\n: x", "G106", "found a list", (1, 3)),
    ("? {a: 1}\n: x", "G106", "found a mapping", (1, 3)),
    ("a: &a x\n*a : 1", "G106", "found an alias", (2, 1)),
    ("<<: {a: 1}", "G107", "merge keys", (1, 1)),
    (MERGE_BOMB, "G107", "merge keys", (3, 3)),
    ("a: !!python/object/apply:os.system ['touch PWNED']", "G107", "python/object/apply", (1, 4)),
    ("a: !!python/name:os.system ''", "G107", "python/name", (1, 4)),
    ("a: !include /etc/passwd", "G107", "!include", (1, 4)),
    ("a: !!binary aGk=", "G107", "binary", (1, 4)),
    ("a: !!set {x}", "G107", "set", (1, 4)),
    ("a: !!timestamp 2020-01-01", "G107", "timestamp", (1, 4)),
    ("a: !!int x", "G107", "not of the type !!int", (1, 4)),
    ("a: !<str> 1", "G107", "the tag 'str'", (1, 4)),
    ("%YAML 1.1\n---\na: no", "G107", "expected YAML 1.2, found %YAML 1.1", (1, 1)),
    ("a: !!int true", "G107", "not of the type !!int", (1, 4)),
    ("a: !!bool 1", "G107", "not of the type !!bool", (1, 4)),
    ("a: !!map [x]", "G107", "core types", (1, 4)),
    ("a: &a [*a]", "G109", "recursive alias", (1, 8)),
    ("a: &a {b: {c: *a}}", "G109", "recursive alias", (1, 15)),
    ("a: *b", "G109", "no anchor &b", (1, 4)),
    (ALIAS_BOMB, "G108", "aliases count as often as they are used", (6, 11)),
    ("[" * 1_000, "G108", "nested deeper than 64 levels", (1, 65)),
    ("[" * 900 + "]" * 900, "G108", "nested deeper than 64 levels", (1, 65)),
    ('{"a":' * 100_000, "G108", "nested deeper than 64 levels", (1, 321)),
    ("- " * 100_000, "G108", "nested deeper than 64 levels", (1, 129)),
    ("\n".join(" " * depth + "a:" for depth in range(2_000)), "G108", "nested deeper", (65, 65)),
    ("a: .nan", "G120", "finite number, found .nan", (1, 4)),
    ("a: -.INF", "G120", "finite number", (1, 4)),
    ('{"a": NaN}', "G120", "finite number, found NaN", (1, 7)),
    ('{"a": -Infinity}', "G120", "finite number", (1, 7)),
    ("a: 1e999", "G120", "too large", (1, 4)),
    ("a: -1e999", "G120", "too large", (1, 4)),
    ("a: 9223372036854775808", "G120", "below 2**63", (1, 4)),
    ("a: " + "9" * 100_000, "G120", "below 2**63", (1, 4)),
    ("a: 0x" + "f" * 100, "G120", "below 2**63", (1, 4)),
    ("a:\n\tb: 1", "G102", "cannot start any token", (2, 1)),
    ("a: b: c", "G102", "mapping values are not allowed", (1, 5)),
    ("a: 'x", "G102", "unexpected end of stream", (1, 6)),
    ("a: [1, 2\n", "G102", "did not find expected ',' or ']'", (2, 1)),
    ("a: @x", "G102", "cannot start any token", (1, 4)),
    ('{"a": 1} x', "G102", "expected <document start>", (1, 10)),
    ("a: 1\n b: 2", "G102", "mapping values are not allowed", (2, 3)),
    ("[?a]", "G102", "expected a space after ?", (1, 2)),
    ("{?a: 1}", "G102", "expected a space after ?", (1, 2)),
    ("- &a:1", "G102", "expected a space after &a", (1, 5)),
    ("a: 'x'#c", "G102", "expected a space before #", (1, 7)),
    ("a: [x]#c", "G102", "expected a space before #", (1, 7)),
    ("a: |#c\n  x\n", "G102", "expected a space before #", (1, 5)),
    ("a: [x,-]", "G102", "expected a value after -", (1, 7)),
    ("a: x\x00", "G104", "found U+0000", (1, 5)),
    ("a: \u2028", "G104", "found U+2028", (1, 4)),
    ("a: 1\nb: \x85", "G104", "found U+0085", (2, 4)),
    ("a: \ud800", "G104", "found U+D800", (1, 4)),
    (b"a: 1\r\nb: \xff", "G104", "0xFF", (2, 4)),
    (b"\xff\xfea\x00:\x00 \x00\x41", "G104", "UTF-16", (1, 4)),
]


@pytest.mark.parametrize(("text", "code", "part", "where"), REFUSED)
def test_refused_with_its_place(text, code, part, where):
    error = refusal(text)
    assert error.code == code
    assert part in error.message
    assert error.place == Place("a.yaml", *where)
    assert max(map(len, str(error).splitlines())) < 250


@pytest.mark.parametrize("text", ["[" * 1_000_000, "[" * 100_000 + "]" * 100_000])
def test_very_deep_texts_are_refused_by_our_limit_or_by_libyamls(text):
    """PyYAML from 6.0.4 on brings a libyaml that stops at 1000 levels, before it gives us the first."""
    error = refusal(text)
    assert error.code == "G108"
    assert "nested deeper than 64 levels" in error.message
    assert error.place in (Place("a.yaml", 1, 65), Place("a.yaml", 1, 1001))


def test_hints_say_what_to_do():
    assert "indent with spaces" in str(refusal("a:\n\tb: 1"))
    assert "extends" in str(refusal("<<: {a: 1}"))


def test_an_alias_is_the_value_of_its_anchor():
    tree = load_text("a: &x {k: [1]}\nb: *x\nc: &s text\nd: *s\ne: &x 5\nf: *x\n", "a.yaml")
    assert tree["b"] is tree["a"]
    assert tree["d"] == "text"
    assert tree["f"] == 5
    assert tree.places["b"] == Place("a.yaml", 2, 4)


def test_depth_counts_through_aliases():
    deep = "[" * 40 + "]" * 40
    assert "by this alias" in refusal(f"a: &a {deep}\nb: {'[' * 30}*a{']' * 30}\n").message


def test_limits_are_of_bytes_nodes_and_depth():
    assert "the limit is 10" in refusal("a: 1234567890", Limits(file_bytes=10)).message
    assert "more than 4" in refusal("[1, 2, 3, 4]", Limits(nodes=4)).message
    assert load_text("[1, 2, 3]", "a.yaml", Limits(nodes=4)) == [1, 2, 3]
    assert load_text("[[1]]", "a.yaml", Limits(depth=2)) == [[1]]
    assert refusal("[[[1]]]", Limits(depth=2)).code == "G108"


def test_a_file_is_refused_by_its_size_alone(tmp_path):
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(SpecError, match=r"1,000,000,000 bytes, the limit is 4,000,000"):
        load_file(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(SpecError, match="there is no file"):
        load_file(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match="found a folder"):
        load_file(tmp_path)
    with pytest.raises(SpecError, match="NUL"):
        load_file("a\0b")


SNIPPETS = st.sampled_from(
    ["a: ", "- ", "[", "]", "{", "}", ",", ": ", "\n", "  ", "\t", "&a ", "*a", "!!int ", "!x ", "'", '"', "#", "|\n",
     ">-\n", "---\n", "...\n", "%YAML 1.2\n", "<<: ", "? ", "1", "1e999", ".nan", "é", "\ufeff", "\0", "~", "@"]
)  # fmt: skip


def leaves(tree: object) -> Iterator[object]:
    """Every scalar of a tree; the places of each container are checked on the way."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, SpecMap):
            assert item.keys() == item.places.keys() == item.key_places.keys()
            waiting.extend(item.values())
        elif isinstance(item, SpecList):
            assert len(item) == len(item.places)
            waiting.extend(item)
        else:
            yield item


@settings(max_examples=500, deadline=None)
@given(st.lists(SNIPPETS, max_size=30).map("".join) | st.text(max_size=60) | st.binary(max_size=60))
def test_any_text_is_a_tree_or_a_spec_error(text):
    try:
        tree = load_text(text, "a.yaml")
    except SpecError as error:
        assert str(error).startswith("a.yaml")  # noqa: PT017
        return
    for leaf in leaves(tree):
        assert leaf is None or isinstance(leaf, (str, bool, int)) or math.isfinite(leaf)


def test_numbers_as_keys_where_they_are_allowed():
    """The text that stands there is the key: a number that would be written in another way is no key."""
    text = "255: 1\n-1: 2\n0: {7: 3}\n'8': 4\n"
    tree = load_text(text, "a.yaml", number_keys=True)
    assert tree == {"255": 1, "-1": 2, "0": {"7": 3}, "8": 4}
    assert tree.key_places["-1"].line == 2
    with pytest.raises(SpecError, match="G106"):
        load_text(text, "a.yaml")
    for key in ("007", "0xff", "1.5", "true", "+1"):
        with pytest.raises(SpecError, match=r"a.yaml:1:1: error\[G106\]: expected text as a key"):
            load_text(f"{key}: 1", "a.yaml", number_keys=True)
    with pytest.raises(SpecError, match=r"2:1: error\[G105\]: the key '255' is written twice"):
        load_text("255: 1\n'255': 2\n", "a.yaml", number_keys=True)
