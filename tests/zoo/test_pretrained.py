"""Whose weights fit a net: the names and shapes of torchvision's and timm's state dicts, by the rules of each spec."""

from __future__ import annotations

import json

import pytest

from graphc.graph import Plan
from graphc.spec.model import read_spec
from graphc.spec.pretrained import Net, PretrainedSource, read_pretrained
from graphc.spec.zoo import zoo_names
from graphc.weights import sources
from graphc.weights.theirs import net_of, theirs
from tests.sampled import sampled
from tests.zoo.slim import REFERENCE, digest, plan_of

FACTS: dict[str, tuple[int, str]] = json.loads((REFERENCE / "state_dicts.json").read_text(encoding="utf-8"))
"""`spec source net` -> arrays of its state dict, and the start of the digest of their names and shapes; without the
auxiliary heads, and without batch norm's counters."""
KEPT = {fact.split()[0]: fact for fact in FACTS}.values()
"""One net of each spec; the others are the group's."""


def settings(net: Net) -> tuple[str, ...]:
    return tuple(f"{name}={str(value).lower()}" for name, value in net.settings.items())


def planned(spec: str, source: str, net: str) -> tuple[Plan, PretrainedSource, Net]:
    said = read_pretrained(read_spec(spec)).sources[source]
    found = next(each for each in said.nets if each.name == net)
    return plan_of(spec, settings(found)), said, found


@pytest.mark.parametrize("fact", sampled(FACTS, KEPT))
def test_names_and_shapes_are_the_librarys(fact: str) -> None:
    plan, source, net = planned(*fact.split())
    found = theirs(plan, source)
    count, sha256 = FACTS[fact]
    assert len({each.name for each in found.values()}) == count
    assert digest({each.name: each.form.shape for each in found.values()})[: len(sha256)] == sha256
    back = sources([each.name for each in found.values()], source.rules, plan)
    assert back.found == {ours: each.name for ours, each in found.items()}
    assert net_of(plan, source).name == net.name


def test_every_net_that_fits_is_a_fact() -> None:
    said = [
        f"{spec} {source.name} {net.name}"
        for spec in zoo_names()
        for source in read_pretrained(read_spec(spec)).sources.values()
        for net in source.nets
        if net.refused is None and source.name in ("torchvision", "timm")
    ]
    assert sorted(said) == sorted(FACTS)


def test_what_is_refused_says_which_spec_fits() -> None:
    for spec in zoo_names():
        for source in read_pretrained(read_spec(spec)).sources.values():
            for net in source.nets:
                if net.use is not None:
                    there = read_pretrained(read_spec(net.use)).sources[source.name].nets
                    assert [each.name for each in there if each.refused is None].count(net.name) == 1, (spec, net.title)
