"""The program put together of its parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from graphc.errors import CONTROLS, SpecError
from graphc.files import shown
from graphc.web.describe import Description, Output

TEMPLATES = Path(__file__).parent / "templates"
INTERPOLATIONS = {
    "python": {"bilinear": "Image.Resampling.BILINEAR", "bicubic": "Image.Resampling.BICUBIC"},
    "js": {"bilinear": '"linear"', "bicubic": '"cubic"'},
}


@dataclass(frozen=True, slots=True)
class Language:
    """How a program is written in it."""

    ending: str
    """Of its files, which is that of its templates too."""
    literal: Callable[[object], str]
    """A value that JSON has, as the language writes it."""
    channels: tuple[int, ...]
    """Of the pictures that its programs read."""


def _python(value: object) -> str:
    """As JSON writes it, but for the three names."""
    return repr(value) if value is None or isinstance(value, bool) else _javascript(value)


def _javascript(value: object) -> str:
    """As JSON; what would steer a terminal or turn the direction of text is escaped, as both languages read it."""
    return json.dumps(value, ensure_ascii=False).translate(CONTROLS)


LANGUAGES: Mapping[str, Language] = {
    "python": Language("py", _python, (1, 3, 4)),
    "js": Language("mjs", _javascript, (1, 3)),
}


def write_snippet(description: Description, language: str) -> str:
    """The program's text. A SpecError where the language's programs cannot read the model's pictures."""
    chosen = LANGUAGES[language]
    given = description.input
    if given.channels not in chosen.channels:
        raise SpecError("G354", f"programs in {language} read no pictures of {given.channels} channels")
    if any("\ud800" <= sign <= "\udfff" for sign in description.file):
        raise SpecError("G354", f"{shown(description.file)}: a program cannot name it: expected text in UTF-8")
    output = description.outputs[0]
    values: dict[str, object] = {
        "MODEL": description.file,
        "INPUT": given.name,
        "DTYPE": given.dtype,
        "LAYOUT": given.layout,
        "HEIGHT": given.height,
        "WIDTH": given.width,
        "CHANNELS": given.channels,
        "SCALE": _few(given.scale),
        "OFFSET": _few(given.offset),
        "OUTPUT": output.name,
        "OUTPUT_LAYOUT": output.layout,
        "CLASSES": list(output.classes),
        "SAYS": output.says,
        "CHARACTERS": output.characters,
        "BLANK": output.blank,
        **{key.upper(): value for key, value in given.resize.items() if key != "interpolation"},
    }
    literals = {key: chosen.literal(value) for key, value in values.items()}
    literals["INTERPOLATION"] = INTERPOLATIONS[language][given.resize.get("interpolation", "bilinear")]
    parts = {
        "resize": _part(language, f"resize_{given.resize['kind']}"),
        "arrange": _part(language, f"arrange_{given.layout}"),
        "activation": _part(language, f"activation_{output.activation}"),
        "say": _part(language, f"say_{_say(output)}"),
    }
    text = _filled(_part(language, "program"), parts)
    return _filled(text, literals)


def _say(output: Output) -> str:
    """Which part says what an output is: those that need a picture of their own say their values."""
    return output.shown_as if output.shown_as in ("classes", "boxes", "mask", "text") else "values"


def _few(numbers: tuple[float, ...]) -> float | list[float]:
    """One number where all channels have the same."""
    return numbers[0] if len(set(numbers)) == 1 else list(numbers)


def _part(language: str, name: str) -> str:
    path = TEMPLATES / language / f"{name}.{LANGUAGES[language].ending}.txt"
    return path.read_text(encoding="utf-8")


def _filled(text: str, known: Mapping[str, str]) -> str:
    pieces = text.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += [known[name].rstrip("\n") if name in known else "{{" + name + "}}", rest]
    return "".join(filled)
