"""What the codes of errors and warnings mean: cause and cure of each, in one table, `codes.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from graphc.errors import SpecError
from graphc.report.tables import render
from graphc.settings import meant
from graphc.spec.source import SpecMap, load_file

TABLE = Path(__file__).with_name("codes.yaml")
CODE = re.compile(r"[Gg]\d{3}")
GROUPS: Mapping[str, str] = {
    "G10": "Reading a file",
    "G11": "Layers and their arguments",
    "G12": "Names, inputs, outputs and budgets",
    "G13": "Expressions",
    "G14": "Scopes",
    "G15": "The parts of a spec",
    "G16": "Limits",
    "G17": "Variables",
    "G18": "Files that a spec consists of",
    "G19": "Pretrained weights and layout",
    "G20": "Shapes",
    "G22": "Budgets",
    "G23": "Warnings",
    "G24": "Warnings of meaning and cost",
    "G3": "Weights, ONNX files, runs",
    "G4": "Data",
    "G5": "The machine",
    "G6": "Training",
    "G9": "Bugs",
}
"""The beginning of a code -> what its errors are about."""


@dataclass(frozen=True, slots=True)
class Code:
    """An error or a warning."""

    code: str
    cause: str
    cure: str


@cache
def codes() -> Mapping[str, Code]:
    """Every code in its order."""
    tree = load_file(TABLE)
    assert isinstance(tree, SpecMap)
    return {code: Code(code, str(entry["cause"]), str(entry["cure"])) for code, entry in tree.items()}


def is_code(word: str) -> bool:
    return CODE.fullmatch(word) is not None


def explain_code(word: str, form: str) -> str:
    """The page of a code; a SpecError where there is none."""
    code = codes().get(word.upper())
    if code is None:
        raise SpecError("G110", f"no error or warning has the code {word.upper()}{meant(word.upper(), codes())}")
    if form != "table":
        return render(("code", "cause", "cure"), [[code.code, code.cause, code.cure]], form)
    return f"{code.code}: {group_of(code.code).lower()}\n  cause: {code.cause}\n  cure: {code.cure}\n"


def group_of(code: str) -> str:
    """What the errors of a code are about."""
    return next(title for begin, title in GROUPS.items() if code.startswith(begin))


def errors_page(made: str) -> str:
    """The page of all codes, as Markdown."""
    parts = [
        f"# Errors and warnings\n\n{made} `graphc explain G204` shows any of this in a terminal. An error prints as\n"
        "`place: error[CODE]: what was expected and what was found`; its code stays the same from version to version.\n"
    ]
    title = ""
    for code in codes().values():
        if group_of(code.code) != title:
            title = group_of(code.code)
            parts.append(f"## {title}\n")
        parts.append(f"### {code.code}\n\n{code.cause} {code.cure}\n")
    return "\n".join(parts)
