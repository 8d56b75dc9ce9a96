"""Inputs from seeds: a few changes at random, each a line in a table. The same number gives the same input."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from .harness import Harness

LONGEST = 1 << 16
"""Bytes of an input."""
MOST_COPIES = 200
NUMBERS = (
    "0", "1", "-1", "2", "3", "255", "256", "65535", "65536", "2147483647", "2147483648", "4294967295",
    "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e3", "1e-3", "1e308", "1e999", "-0",
    "0.1", ".nan", "NaN", "-.inf", "Infinity", "010", "0x10", "1_000", "1" + "0" * 400,
)  # fmt: skip
WORDS = (
    "null", "true", "no", "''", '"', "'", "{}", "[]", "[", "]", "{", "}", ": ", "- ", ", ", "#", "&a ", "*a", "!!str ",
    "|", "<<: ", "${", "}", "${x}", "\\ud800", "\\u0000", "../", "/", "\u202e", "\x00", "\x1b[2J", "\ufeff", "e\u0301",
    "\n", "\r", "\t", "é", "🦆", "*", "?", "%", "__class__",
)  # fmt: skip
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
DIGITS = re.compile(rb"[0-9]+")

Change = Callable[[random.Random, bytearray, Sequence[bytes], Sequence[bytes]], None]


class Mutator:
    """The inputs of a harness, by number."""

    def __init__(self, harness: Harness) -> None:
        self.name = harness.name
        self.seeds = list(harness.seeds())
        general = [word.encode() for word in (*NUMBERS, *WORDS)] if harness.is_text else []
        self.words = [*harness.words(), *general] or [b"\0\0\0\0"]
        self.changes = TEXT if harness.is_text else BINARY

    def input(self, number: int) -> bytes:
        """The first ones are the seeds as they are."""
        if number < len(self.seeds):
            return self.seeds[number]
        rng = random.Random(f"{self.name} {number}")
        data = bytearray(rng.choice(self.seeds))
        for _ in range(min(1 + int(rng.expovariate(0.5)), 12)):
            rng.choice(self.changes)(rng, data, self.words, self.seeds)
        return bytes(data[:LONGEST])


def _at(rng: random.Random, data: bytearray) -> int:
    return rng.randrange(len(data) + 1)


def _span(rng: random.Random, data: bytearray) -> slice:
    start = _at(rng, data)
    return slice(start, start + min(int(rng.expovariate(1 / 12)) + 1, LONGEST))


def flip(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def set_byte(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))


def set_number(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    """A whole number of one to eight bytes over what is there."""
    width = rng.choice((1, 2, 4, 8))
    number = rng.choice((*EDGES, len(data), len(data) + rng.randint(-8, 8))) % (1 << (8 * width))
    at = _at(rng, data)
    data[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))


def nudge(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    """A byte a little larger or smaller: sizes that are off by one."""
    if data:
        at = rng.randrange(len(data))
        data[at] = (data[at] + rng.choice((-2, -1, 1, 2))) % 256


def insert_word(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    at = _at(rng, data)
    data[at:at] = rng.choice(words)


def put_word(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    """A word over as many bytes."""
    at, word = _at(rng, data), rng.choice(words)
    data[at : at + len(word)] = word


def swap_word(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    """A word that is there becomes another."""
    found = [match.span() for match in re.finditer(rb"[A-Za-z_][A-Za-z0-9_]*", data)]
    if found:
        start, end = rng.choice(found)
        data[start:end] = rng.choice(words)


def swap_digits(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    """A number that is there becomes another."""
    found = [match.span() for match in DIGITS.finditer(data)]
    if found:
        start, end = rng.choice(found)
        data[start:end] = rng.choice((*NUMBERS, str(rng.randint(-9, 99)))).encode()


def drop(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    del data[_span(rng, data)]


def cut_off(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    if rng.random() < 0.3:
        del data[_at(rng, data) :]


def copy(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    """A part stands in another place too."""
    part = bytes(data[_span(rng, data)])
    at = _at(rng, data)
    data[at:at] = part


def repeat(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    """A part many times."""
    span = _span(rng, data)
    times = min(rng.choice((2, 3, 10, MOST_COPIES)), LONGEST // max(1, len(data)) + 2)
    data[span] = bytes(data[span]) * times


def splice(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    """A part of another seed."""
    other = bytearray(rng.choice(seeds))
    start = _at(rng, other)
    part = other[start : start + rng.choice((8, 64, len(other)))]
    at = _at(rng, data)
    data[at : at + rng.choice((0, len(part)))] = part


def move_line(rng: random.Random, data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes]) -> None:
    """A line is left out, doubled, moved or goes in or out by two."""
    lines = data.split(b"\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    line = bytes(lines[at])
    how = rng.randrange(5)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines.insert(to, line)
    elif how == 2:
        lines[at], lines[to] = lines[to], lines[at]
    else:
        lines[at] = b"  " + line if how == 3 else line.removeprefix(b"  ")
    data[:] = b"\n".join(lines)


BINARY: tuple[Change, ...] = (
    flip, set_byte, set_number, set_number, nudge, insert_word, put_word, drop, cut_off, copy, repeat, splice,
)  # fmt: skip
TEXT: tuple[Change, ...] = (
    set_byte, insert_word, swap_word, swap_word, swap_digits, swap_digits, drop, cut_off, copy, repeat, splice,
    move_line, move_line,
)  # fmt: skip
