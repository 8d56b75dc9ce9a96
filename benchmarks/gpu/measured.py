"""How times are taken, and tables."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence


def a_second(work: Callable[[], object], seconds: float) -> float:
    """How often a second it is done, after two times that do not count; it has ended when it returns."""
    work()
    work()
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds or not count:
        work()
        count += 1
    return count / (time.perf_counter() - begun)


def in_turn(works: Mapping[str, Callable[[], object]], rounds: int, seconds: float) -> dict[str, float]:
    """The median over the rounds of how often a second each is done; they take turns."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(a_second(work, seconds / rounds))
    return {name: statistics.median(each) for name, each in found.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Lines of Markdown."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
