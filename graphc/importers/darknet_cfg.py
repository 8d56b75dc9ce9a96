"""The sections of darknet's cfg files and their options, read as darknet's own parser reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graphc.errors import Place, SpecError
from graphc.files import read_limited, shown
from graphc.importers.onnx_graph import RefusedError

LARGEST_CFG = 2**20
BLANKS = b" \t\r\n"
"""What darknet strips of a line."""
COMMENT = "#;"
TEXT = bytes(byte for byte in range(256) if byte >= ord(" ") and byte != 127) + b"\t"
"""Bytes of a line; darknet's lines end at some of the others."""
MAX_SECTIONS = 500
MAX_SOURCES = 1_000
"""Values that all sections of a file read by `layers` and `from`: those of DenseNet-201 read 196."""
OF_NET = frozenset({"height", "width", "channels", "inputs"})
"""Options of [net] that are read: the others are about training, and about how images become the input."""
OFF = frozenset({"0"})
OF_TRAINING = dict.fromkeys(
    ("stopbackward", "onlyforward", "train_only_bn", "dont_update", "burnin_update", "learning_rate", "clip"), None
)
"""Options of every section that change nothing of what it computes."""
ANY: None = None
"""All options and values: they say how boxes are made of a map, and how both are trained."""
OPTIONS: Mapping[str, Mapping[str, frozenset[str] | None] | None] = {
    "avgpool": {},
    "connected": {"output": None, "activation": None, "batch_normalize": OFF},
    "convolutional": {
        **dict.fromkeys(("filters", "size", "stride", "pad", "padding", "groups", "dilation", "activation"), None),
        "batch_normalize": None,
        **dict.fromkeys(("binary", "xnor", "bin_output", "flipped", "dot", "cbn", "coordconv", "reverse"), OFF),
        **dict.fromkeys(("antialiasing", "assisted_excitation", "sway", "rotate", "stretch", "stretch_sway"), OFF),
        **dict.fromkeys(("grad_centr", "angle", "stream", "wait_stream"), None),
    },
    "cost": ANY,
    "detection": ANY,
    "dropout": {"probability": None, "dropblock": OFF},
    "maxpool": {
        **dict.fromkeys(("size", "stride", "padding"), None),
        **dict.fromkeys(("maxpool_depth", "antialiasing", "maxpool_zero_nonmax"), OFF),
    },
    "region": ANY,
    "route": dict.fromkeys(("layers", "groups", "group_id", "stream", "wait_stream"), None),
    "scale_channels": {"from": None, "activation": None, "scale_wh": OFF},
    "shortcut": {
        **dict.fromkeys(("from", "activation"), None),
        **dict.fromkeys(("weights_type", "weights_normalization"), frozenset({"none"})),
    },
    "softmax": {
        "groups": frozenset({"1"}),
        "temperature": frozenset({"1", "1.0"}),
        "spatial": OFF,
        "noloss": None,
    },
    "upsample": {"stride": None, "scale": frozenset({"1", "1.0"})},
    "yolo": ANY,
}
"""Section -> the options that it may have -> the values that are held to mean what the layer does, or None where its
function reads the option, or no value changes what the section computes. Everything else is refused: darknet ignores
words that it does not know, and has words that graphc does not know."""
SHORT: Mapping[str, str] = {"conv": "convolutional", "max": "maxpool"}
"""Short words of sections."""


@dataclass(frozen=True, slots=True)
class Section:
    """`[convolutional]`, which may be written short, and the lines below it."""

    kind: str
    options: Mapping[str, str]
    place: Place

    def integer(self, name: str, default: int | None = None, least: int | None = None) -> int:
        """An option's whole number, which ends where a comment begins, as in darknet; at least `least`."""
        text = self.options.get(name)
        if text is None:
            if default is None:
                raise RefusedError(f"it needs {name}")
            return default
        number = _whole(name, text.partition("#")[0])
        if least is not None and number < least:
            raise RefusedError(f"{name} expects at least {least}, found {number}")
        return number

    def integers(self, name: str) -> list[int]:
        text = self.options.get(name)
        if not text:
            raise RefusedError(f"it needs {name}")
        numbers, _, comment = text.partition("#")
        if "," in comment:
            raise RefusedError(f"{name} expects no comma in a comment behind it: darknet counts it")
        if numbers.count(",") >= MAX_SOURCES:
            raise RefusedError(f"{name} expects at most {MAX_SOURCES:,} numbers, found {numbers.count(',') + 1:,}")
        return [_whole(name, part) for part in numbers.split(",")]

    def flag(self, name: str) -> bool:
        """An option that is 0 or 1."""
        number = self.integer(name, 0)
        if number not in (0, 1):
            raise RefusedError(f"{name} expects 0 or 1, found {number}")
        return bool(number)

    def check_options(self) -> None:
        """A RefusedError where an option or its value is not in the table."""
        known = OPTIONS.get(self.kind)
        if known is None:
            return
        odd = []
        for name, value in self.options.items():
            allowed = known[name] if name in known else OF_TRAINING.get(name, frozenset())
            if allowed is not None and value not in allowed:
                odd.append(f"{name}={value}")
        if odd:
            raise RefusedError(f"{shown(', '.join(odd)[:100])} is no argument of a layer")


def _whole(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
        raise RefusedError(f"{name} expects a whole number, found {shown(text[:60])}")
    return int(text)


def read_sections(path: Path) -> list[Section]:
    """The sections of a cfg, `[net]` first, as darknet's own parser reads them: blanks go, within words too, and a
    comment is a line that begins as one. Words are the same in upper and lower case nowhere."""
    data = read_limited(path, LARGEST_CFG, SpecError, "G101")
    sections: list[Section] = []
    options: dict[str, str] = {}
    for number, written in enumerate(data.split(b"\n"), 1):  # the only break of lines that darknet knows
        place = Place(shown(path), number, 1)
        if written.removesuffix(b"\r").translate(None, TEXT) != b"":
            raise SpecError("G365", "expected text, found a control character", place)
        line = written.translate(None, BLANKS).decode("utf-8", "replace")
        if not line or line[0] in COMMENT:
            continue
        if line[0] == "[" and line[-1] == "]":
            options = {}
            sections.append(Section(SHORT.get(line[1:-1], line[1:-1]), options, place))
            continue
        key, equals, value = line.partition("=")
        if line[0] == "[" or not equals or not key or not value or not sections:
            expected = "expected [section] or option=value"
            raise SpecError("G365", f"{expected}, found {shown(line[:60])}", place)
        is_read = len(sections) > 1 or key in OF_NET
        if options.setdefault(key, value) != value and is_read:
            said = f"{shown(key[:60])} is written twice, with other values: darknet takes the first"
            raise SpecError("G365", f"[{shown(sections[-1].kind[:60])}]: {said}", place)
    if len(sections) > MAX_SECTIONS:
        raise SpecError(
            "G365", f"expected at most {MAX_SECTIONS:,} sections, found {len(sections):,}", Place(shown(path))
        )
    if not sections or sections[0].kind not in ("net", "network"):
        raise SpecError("G365", "expected a darknet cfg, whose first section is [net]", Place(shown(path), 1, 1))
    return sections
