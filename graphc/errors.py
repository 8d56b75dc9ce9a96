"""What can go wrong, and where.

GraphcError                 exit code
├── SpecError          2    a spec, recipe or command line that cannot be right (codes G1xx, G2xx)
├── WeightsError       2    a weights, checkpoint or ONNX file that cannot be used (G3xx)
├── DataError          2    a data set that cannot be read (G4xx)
├── MachineError       3    disk, permission, lock, missing optional dependency (G5xx)
└── DivergedError      4    training met a NaN or an infinity (G6xx)

A message says what was expected and what was found. Every error carries a `Place` where one is known and
prints as `path:line:col: error[CODE]: message`.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Any

from graphc.peers import WITH, simple, words_for

MAX_ERRORS = 20
"""As many are shown at once."""
STEERING = (
    *(*range(32), *range(127, 160), 0x061C, *range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A)),
    *(0xFEFF, 0xFFFE, 0xFFFF),
)
CONTROLS = {number: f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" for number in STEERING}
"""Characters that would break a line, steer a terminal, turn the direction of what follows, or that no spec can hold,
and how they are shown in messages, which name what stands in files of strangers."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a source file; line and column count from 1, 0 where the file has none."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path


LONGEST_LINE = 1_000
"""Characters of a line of what is said; names in a file may be much longer."""
MAX_NOTES = 20
"""Lines below an error's own."""


def one_line(text: str) -> str:
    """A text as one line of bounded length, whatever is in it."""
    text = _cut(text)
    return text if text.isprintable() else _cut(text.translate(CONTROLS))


def _cut(text: str) -> str:
    half = LONGEST_LINE // 2
    return text if len(text) <= LONGEST_LINE + 3 else f"{text[:half]} … {text[-half:]}"


class GraphcError(Exception):
    """An error that is the user's to mend; `exit_code` is the command's."""

    exit_code = 2

    def __init__(self, code: str, message: str, place: Place | None = None, notes: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.place = place
        self.notes = tuple(notes)

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is in another process."""
        return type(self), (self.code, self.message, self.place, self.notes)

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        lines = [f"{where}error[{self.code}]: {self.message}", *(f"  {note}" for note in self.notes[:MAX_NOTES])]
        if len(self.notes) > MAX_NOTES:
            lines.append(f"  and {counted(len(self.notes) - MAX_NOTES, 'more line')}")
        return "\n".join(map(one_line, lines))


class SpecError(GraphcError):
    """A spec that cannot be right."""


class SpecErrors(SpecError):
    """Several errors of one spec, reported together."""

    def __init__(self, errors: list[GraphcError], *, stopped: bool = False) -> None:
        first = errors[0]
        super().__init__(first.code, first.message, first.place, first.notes)
        self.errors = errors
        self.stopped = stopped
        """Whether what follows the last one was not looked at."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.errors,)

    def __str__(self) -> str:
        lines = [str(error) for error in self.errors[:MAX_ERRORS]]
        if len(self.errors) > MAX_ERRORS:
            lines.append(f"  and {counted(len(self.errors) - MAX_ERRORS, 'more error')}")
        elif self.stopped:
            lines.append(f"  stopped after {counted(len(self.errors), 'error')}, there may be more")
        return "\n".join(lines)


class Errors:
    """Errors of one pass, collected. What is wrong at one place is said once, however many layers come from there."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Place | str], GraphcError] = {}
        self._again: Counter[tuple[str, Place | str]] = Counter()

    def __len__(self) -> int:
        return len(self._found)

    @property
    def enough(self) -> bool:
        """Whether there are so many that nobody needs more."""
        return len(self._found) >= MAX_ERRORS

    def add(self, error: GraphcError, *, of_a_layer: bool = False) -> None:
        """Keep an error. Those `of_a_layer` are counted where the same line makes several layers."""
        for each in error.errors if isinstance(error, SpecErrors) else (error,):
            key = each.code, each.place or each.message
            if key not in self._found:
                self._found[key] = each
            elif of_a_layer:
                self._again[key] += 1

    def add_again(self, code: str, place: Place) -> bool:
        """Whether this error of a layer is known; then it is counted."""
        known = (code, place) in self._found
        self._again[code, place] += known
        return known

    @contextmanager
    def collecting(self, *, of_a_layer: bool = False) -> Iterator[None]:
        """Keep the error of what is done inside, and go on behind it; raise all where nobody needs more."""
        try:
            yield
        except SpecError as error:
            self.add(error, of_a_layer=of_a_layer)
        if self.enough:
            raise self.collected(stopped=True)

    def collected(self, *, stopped: bool = False) -> GraphcError:
        """All errors as one; there has to be one."""
        for key, count in (+self._again).items():
            self._found[key].notes += (f"likewise in {counted(count, 'more layer')}",)
        self._again.clear()
        errors = list(self._found.values())
        return errors[0] if len(errors) == 1 and not stopped else SpecErrors(errors, stopped=stopped)

    def raise_if_any(self) -> None:
        if self._found:
            raise self.collected()


class WeightsError(GraphcError):
    """A file of weights that cannot be used."""


class DataError(GraphcError):
    """A data set that cannot be read."""


class MachineError(GraphcError):
    """The machine, not the spec: disk, permission, a lock, a missing optional dependency."""

    exit_code = 3


MEMORY, THREADS = "this needs more memory than there is", "the system gives no more threads or processes"
EXHAUSTED = {
    "bad allocation": MEMORY,
    "bad_alloc": MEMORY,
    "Failed to allocate memory": MEMORY,
    "Arena alloc failed": MEMORY,
    "Failed to serialize proto": MEMORY,
    "can't start new thread": THREADS,
    "pthread_create failed": THREADS,
}
"""What Python, protobuf and onnxruntime say where the system has nothing more to give, and what we say."""


def exhausted(error: BaseException) -> MachineError | None:
    """An error that says no more than that there is no more memory, or that no thread can be started, as our own."""
    if isinstance(error, MemoryError):
        return MachineError("G503", MEMORY)
    if isinstance(error, SystemError):  # Python's own, of a library in C
        return MachineError("G503", f"a library failed without a reason, as some do without memory: {error}")
    said = next((said for text, said in EXHAUSTED.items() if isinstance(error, Exception) and text in str(error)), None)
    return MachineError("G503", said) if said else None


class DivergedError(GraphcError):
    """Training met a value that is not finite."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Warn:
    """Something legal that is probably not meant, or costs more than it looks."""

    code: str
    message: str
    place: Place | None = None

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return one_line(f"{where}warning[{self.code}]: {self.message}")


def said_once(warnings: Iterable[Warn]) -> list[str]:
    """Warnings in words: one for a code at a place, with how many layers of that line it holds for."""
    return [
        str(first) if count == 1 else f"{first}\n  likewise in {counted(count - 1, 'more layer')}"
        for first, count in once(warnings)
    ]


def once(warnings: Iterable[Warn]) -> list[tuple[Warn, int]]:
    """The first warning of a code at a place, and how many layers of that line it holds for."""
    found: dict[tuple[str, Place | str], list[Warn]] = {}
    for each in warnings:
        found.setdefault((each.code, each.place or each.message), []).append(each)
    return [(same[0], len(same)) for same in found.values()]


def missing_extra(package: str, extra: str) -> MachineError:
    """The error for an optional dependency that is not installed."""
    return MachineError("G501", f"this needs the package {package}: install graphc[{extra}]")


def clipped(value: Any, length: int = 60) -> str:
    """A value as YAML would write it, for an error: cut off where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return repr(value if len(value) <= length else value[: length - 3] + "...")
    if isinstance(value, (int, float)):
        large = isinstance(value, int) and abs(value) >= 10**100  # of which Python would not write all
        return f"a number of {value.bit_length():,} bits" if large else str(value)  # type: ignore[union-attr]
    if isinstance(value, dict):
        inside = ", ".join(f"{key}: {clipped(item, length)}" for key, item in islice(value.items(), 8))
        text = f"{{{inside}}}"
    elif isinstance(value, list):
        text = f"[{', '.join(clipped(item, length) for item in islice(value, 20))}]"
    else:
        text = repr(value)
    return text if len(text) <= length else text[: length - 3] + "..."


def counted(count: int, thing: str) -> str:
    """`1 layer`, `2 layers`."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def twice_in(names: Iterable[str]) -> str | None:
    """The first name that was there before; None where all are different."""
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]


def did_you_mean(word: str, known: Iterable[str], *, any_number: bool = False) -> str:
    """` (did you mean 'kernel'?)` where a known word is what a peer's means, or this one misspelt; else nothing.

    A number in the word has to be the same, but with `any_number`: for names of versions.
    """
    words = tuple(known)
    hint = _hint if len(words) <= MOST_WORDS else _hint.__wrapped__
    return hint(str(word), words, any_number)


MOST_WORDS = 5_000
"""Known words that are compared with what peers say, and kept for the next question."""
MOST_CELLS = 1_000_000
"""Pairs of letters that are compared to find a misspelt word."""
MOST_NEAR = 10
"""Words with few wrong letters of which the one is chosen that is most like it as a whole."""


@lru_cache(maxsize=256)
def _hint(word: str, known: tuple[str, ...], any_number: bool) -> str:
    near = words_for(word, known) if len(known) <= MOST_WORDS else None
    if near is None:
        near = difflib.get_close_matches(word, _misspelt(word, known, any_number), n=1, cutoff=0.6)
    said = f", {WITH[simple(word)]}" if simple(word) in WITH else ""
    return f" (did you mean {near[0]!r}{said}?)" if near else ""


def _misspelt(word: str, known: Iterable[str], any_number: bool) -> list[str]:
    """The known words that a few wrong letters make of `word`, fewest first, as far as there is time for them."""
    left = MOST_CELLS
    found = []
    for each in known:
        most = min(3, max(1, min(len(word), len(each)) // 2))
        if abs(len(word) - len(each)) > most or not (any_number or _digits(word) in ("", _digits(each))):
            continue
        wrong, cells = edits(word, each, most)
        if wrong <= most:
            found.append((wrong, each))
        left -= cells
        if left < 0:
            break
    return [each for _, each in sorted(found, key=itemgetter(0))[:MOST_NEAR]]


def _digits(word: str) -> str:
    """What a misspelt word keeps: `conv3d` is no misspelt conv2d."""
    return "" if word.isalpha() else "".join(letter for letter in word if letter.isdigit())


def edits(word: str, other: str, most: int) -> tuple[int, int]:
    """Letters that are added, left out, replaced, or swapped with the next, to make one word of the other; more than
    `most` where there are more. And how many pairs of letters were compared."""
    start = _shared(word, other)
    word, other = word[start:], other[start:]
    before: list[int] = []
    above = [column if column <= most else most + 1 for column in range(len(other) + 1)]
    cells = 10 + len(other)
    for row, letter in enumerate(word, 1):
        first, last = max(1, row - most), min(len(other), row + most)
        here = [most + 1] * (len(other) + 1)
        here[0] = min(row, most + 1)
        for column in range(first, last + 1):
            theirs = other[column - 1]
            best = min(above[column] + 1, here[column - 1] + 1, above[column - 1] + (letter != theirs))
            if row > 1 and column > 1 and letter == other[column - 2] and word[row - 2] == theirs:
                best = min(best, before[column - 2] + 1)
            here[column] = best
        cells += last - first + 2
        before, above = above, here
        if min(above) > most and min(before) > most:
            break
    return above[-1], cells


def _shared(word: str, other: str) -> int:
    """Letters with which both begin."""
    least, most = 0, min(len(word), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if word[:middle] == other[:middle] else (least, middle - 1)
    return least


BOOLEAN_WORDS = {
    "yes": "true", "on": "true", "y": "true", "true": "true", "no": "false", "off": "false", "n": "false",
    "false": "false", "none": "null",
}  # fmt: skip
"""What YAML 1.1, or a text in quotes, means by a condition -> what to write."""


def write_boolean(value: Any) -> str:
    """`: no is text here, write false` where a text was meant as a condition, else nothing."""
    word = BOOLEAN_WORDS.get(value.lower()) if isinstance(value, str) else None
    return f": {value} is text here, write {word}" if word else ""


class RuleError(Exception):
    """Raised by a layer's rule; the pass that asked adds the layer's name and place.

    `argument` names the layer argument at fault, so that the error points at its line and column.
    """

    def __init__(self, code: str, message: str, argument: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.argument = argument
