"""Rules between libraries' names, read both ways."""

from __future__ import annotations

import time

import pytest

from graphc.name_rules import MAX_LENGTH, NameRule, RuleError


@pytest.mark.parametrize(
    ("theirs", "ours", "name", "found"),
    [
        ("conv1", "features/conv1", "conv1", "features/conv1"),
        (
            "layer{s}.{i}.bn{c}",
            "stage{s}/unit_{i+1}/conv{c}/BatchNorm",
            "layer3.0.bn2",
            "stage3/unit_1/conv2/BatchNorm",
        ),
        ("blocks.{i}", "unit_{2*i+1}", "blocks.12", "unit_25"),
        ("s{s}.b{i}", "stage{s-1}/{i}", "s1.b4", "stage0/4"),
        ("block{s}.block{s}-{i}", "stage{s}/{i}", "block2.block2-1", "stage2/1"),
        ("{*rest}", "net/{*rest}", "a.b/c", "net/a.b/c"),
    ],
)
def test_names_become_ours_and_theirs_again(theirs, ours, name, found):
    rule = NameRule.of(theirs, ours)
    assert rule.to_ours(name) == found
    assert rule.to_theirs(found) == name


@pytest.mark.parametrize(
    ("theirs", "ours", "name"),
    [
        ("conv1", "a", "conv11"),
        ("conv{i}", "a{i}", "conv"),
        ("conv{i}", "a{i}", "conv01"),
        ("conv{i}", "a{i}", "conv1234567"),
        ("conv{i}", "a{i}", "convx"),
        ("conv{i}", "a{i-1}", "conv0"),
        ("block{s}.block{s}-{i}", "stage{s}/{i}", "block2.block3-1"),
        ("a.b", "c", "axb"),
    ],
)
def test_names_of_which_a_rule_says_nothing(theirs, ours, name):
    assert NameRule.of(theirs, ours).to_ours(name) is None


def test_numbers_that_no_name_of_theirs_gives_have_none():
    rule = NameRule.of("blocks.{i}", "unit_{2*i+1}")
    assert rule.to_theirs("unit_4") is None
    assert rule.to_theirs("unit_0") is None


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        ("a{i}", "b", r"a\{i\} → b: expected the same parts on both sides; i differs"),
        ("a{i}", "b{*i}", "i differs"),
        ("a{i", "b", "a bracket has no other one"),
        ("a{i}{j}", "b{i}.{j}", r"a\{i\}\{j\}: expected more than digits between two parts"),
        ("a{i}.{j}", "b{i}10{j}", r"b\{i\}10\{j\}: expected more than digits between two parts"),
        ("{*rest}{i}", "{*rest}/{i}", "where one ends would be a guess"),
        ("a{}", "b{}", r"expected \{name\}, \{name\+1\}, \{2\*name\} or \{\*name\}, found \{\}"),
        ("a{i*i}", "b{i}", r"found \{i\*i\}"),
        ("a{0*i}", "b{i}", "is always the same"),
        ("{*a}{*b}", "{*a}{*b}", "at most one part of any text"),
        ("", "b", "expected a name of 1 to 500 characters, found 0"),
        ("a" * (MAX_LENGTH + 1), "b", "found 501"),
    ],
)
def test_rules_that_cannot_be_right(theirs, ours, message):
    with pytest.raises(RuleError, match=message):
        NameRule.of(theirs, ours)


def test_a_name_that_nearly_fits_many_parts_is_answered_at_once():
    parts = [f"{{{letter}{number}}}" for letter in "abcdefghij" for number in range(10)]
    rule = NameRule.of("".join(f"{part}x" for part in parts[:80]), "/".join(parts[:80]))
    start = time.process_time()
    assert rule.to_ours("111111x" * 80 + "y") is None
    assert time.process_time() - start < 10  # in fact milliseconds; without a bound, years
