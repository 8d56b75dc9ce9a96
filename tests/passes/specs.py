"""Small specs for the tests of the passes."""

from __future__ import annotations

import re
import textwrap

from graphc.graph import LayerGraph, Node, Plan
from graphc.passes.expand import expand
from graphc.passes.plan import plan
from graphc.spec.model import read_spec_text

HEAD = "graphc: 1\nname: net\n"
IMAGE = "inputs: {image: [N, 32, 32, 3]}\n"


def graph_of(text: str, *settings: str) -> LayerGraph:
    """The expanded graph of a spec; `graphc`, `name` and an image input are put in where left out."""
    body = textwrap.dedent(text).lstrip("\n")
    if not re.search(r"^inputs:", body, re.MULTILINE):
        body = IMAGE + body
    return expand(read_spec_text(HEAD + body, "net.yaml", settings))


def plan_of(text: str, *settings: str) -> Plan:
    return plan(graph_of(text, *settings))


def nodes_of(text: str, *settings: str) -> dict[str, Node]:
    return {node.name: node for node in graph_of(text, *settings).nodes}
