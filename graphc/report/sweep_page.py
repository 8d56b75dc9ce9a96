"""`graphc report SWEEP`: the trials of a sweep in pictures, as one page that loads nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from graphc.documented import flow
from graphc.errors import GraphcError, counted
from graphc.files import printable
from graphc.report.sweep_table import TrialRow, rows_of
from graphc.sweep.checks import SHOWN, is_finite, is_number
from graphc.sweep.folder import SweepFacts, SweepFolder
from graphc.sweep.settings import COSTS, Range
from graphc.sweep.study import OF_FILES, optuna
from graphc.train.run_folder import RunFolder

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 16, 40
LEAST_FOR_IMPORTANCE = 4
"""Complete trials."""
MOST_CURVES = 200
STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #7a8494; --line: #d5dae2; --page: #fff; --best: #c2410c;
  --mark: #2563a8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #98a2b3; --line: #384252; --page: #151a21;
  --best: #fb923c; --mark: #7ab3ef; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 760px;
  margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--soft);
  paint-order: stroke; stroke: var(--page); stroke-width: 3px; }
h2 { margin: 2rem 0 .3rem; font-size: 1.1rem; } p { color: var(--soft); margin: .2rem 0 .6rem; }
.axis { stroke: var(--line); fill: none; } .trial { stroke: var(--mark); fill: none; opacity: .35; }
.dot { fill: var(--mark); opacity: .7; } .dot.best { fill: var(--best); opacity: 1; }
.trial.best { stroke: var(--best); opacity: 1; stroke-width: 2; } .bar { fill: var(--mark); }
.trial:hover { opacity: 1; stroke-width: 3; }
"""


def report_sweep(folder: SweepFolder, facts: SweepFacts, study: Any) -> str:
    """The page; errors as of Optuna's storage are the caller's."""
    rows = rows_of(facts, study)
    done = [row for row in rows if row.objectives is not None]
    parts = [
        section(*front(facts, done)) if done else "",
        section(*parallel(facts, done)) if done else "",
        section(*importance(facts, study, len(done))),
        section(*curves(folder, facts, rows)),
    ]
    name = escape(printable(folder.path.resolve().name))
    head = f"{counted(len(rows), 'trial')}, {len(done)} complete, {facts.sweep.sampler}"
    objectives = ", ".join(f"{each} ({way})" for each, way in facts.objectives.items())
    return printable(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{name}</title><style>{STYLE}</style><h1>{name}</h1>"
        f"<p>{escape(head)}. Objectives: {escape(objectives)}.</p>{''.join(parts)}</html>\n"
    )


def section(title: str, words: str, picture: str) -> str:
    return f"<h2>{escape(title)}</h2><p>{escape(words)}</p>{picture}"


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places on a line."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False
    """Whether all values are whole numbers."""

    @staticmethod
    def of(values: Sequence[float], start: float, end: float, log: bool = False) -> Scale:
        """As wide as the values; logarithmic only where all are above 0."""
        log = log and min(values) > 0
        return Scale(min(values), max(values), start, end, log, all(isinstance(each, int) for each in values))

    def __call__(self, value: float) -> float:
        low, high, value = (math.log(each) if self.log else each for each in (self.low, self.high, value))
        share = 0.5 if high == low else (value - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> Sequence[float]:
        """The ends and what lies between."""
        if self.low == self.high:
            return [self.low]
        if self.log:
            return [self.low, math.sqrt(self.low * self.high), self.high]
        found = [self.low + (self.high - self.low) * part / 4 for part in range(5)]
        return list(dict.fromkeys(map(round, found))) if self.whole else found


def axes(x: Scale, y: Scale, x_name: str, y_name: str) -> str:
    """Two axes with their ticks and names."""
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>']
    parts += [
        f'<text x="{x(tick)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:.4g}</text>' for tick in x.ticks()
    ]
    parts += [f'<text x="{LEFT - 6}" y="{y(tick) + 4}" text-anchor="end">{tick:.4g}</text>' for tick in y.ticks()]
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(x_name)}</text>')
    parts.append(f'<text x="{LEFT + 6}" y="{TOP + 4}">{escape(y_name)}</text>')
    return "".join(parts)


def svg(inside: str, height: int = HEIGHT) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{inside}</svg>'


def told(row: TrialRow) -> str:
    """A trial in words, shown where the pointer rests."""
    values = ", ".join(f"{name} {flow(value)}" for name, value in row.values.items())
    return f"<title>{escape(f'{row.name}: {values}')}</title>"


def front(facts: SweepFacts, done: Sequence[TrialRow]) -> tuple[str, str, str]:
    """Of two objectives or more the first two against each other; of one how it went from trial to trial."""
    names = list(facts.objectives)
    several = len(names) > 1
    points = [(row.objectives[1] if several else number, row.objectives[0]) for number, row in enumerate(done, 1)
              if row.objectives is not None]  # fmt: skip
    x = Scale.of([point[0] for point in points], LEFT + 10, WIDTH - RIGHT - 10, log=several and names[1] in COSTS)
    y = Scale.of([point[1] for point in points], HEIGHT - BOTTOM - 10, TOP + 20)
    dots = "".join(
        f'<circle class="dot{" best" if row.best else ""}" cx="{x(point[0])}" cy="{y(point[1])}" r="4">{told(row)}'
        "</circle>"
        for row, point in sorted(zip(done, points, strict=True), key=lambda pair: pair[0].best)
    )
    title = "Front" if several else "Trials"
    best = f"{counted(sum(row.best for row in done), 'trial')} that no other one beats in everything"
    words = best if several else "in the order in which they were begun; the best one marked"
    return title, words, svg(axes(x, y, names[1] if several else "trial", names[0]) + dots)


def parallel(facts: SweepFacts, done: Sequence[TrialRow]) -> tuple[str, str, str]:
    """A line for each trial through its values, to its first objective."""
    ranges = facts.sweep.ranges
    names = [*ranges, next(iter(facts.objectives))]
    places = [LEFT + (WIDTH - LEFT - RIGHT - 40) * number / max(len(names) - 1, 1) for number in range(len(names))]
    columns = {name: [numbered(ranges[name], row.values[name]) for row in done] for name in ranges}
    columns[names[-1]] = [row.objectives[0] for row in done if row.objectives is not None]
    bottom = HEIGHT - BOTTOM
    scales = {
        name: Scale.of(values, bottom, TOP + 20, name in ranges and ranges[name].log_uniform is not None)
        for name, values in columns.items()
    }
    parts: list[str] = []
    texts: list[str] = []
    for name, place in zip(names, places, strict=True):
        parts.append(f'<path class="axis" d="M{place:.1f} {TOP + 20}V{bottom}"/>')
        parts.append(f'<text x="{place:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(name)}</text>')
        texts += [
            f'<text x="{place + 5:.1f}" y="{at + 4}">{escape(text)}</text>'
            for text, at in labels(ranges.get(name), scales[name])
        ]
    for number, row in sorted(enumerate(done), key=lambda pair: pair[1].best):
        line = " ".join(
            f"{place:.1f},{scales[name](columns[name][number])}" for name, place in zip(names, places, strict=True)
        )
        parts.append(f'<polyline class="trial{" best" if row.best else ""}" points="{line}">{told(row)}</polyline>')
    return "Parallel coordinates", "a line for each complete trial; the best marked", svg("".join([*parts, *texts]))


def numbered(each: Range, value: Any) -> float:
    """A value as a number: of a list that has other things, its place there."""
    if each.values is not None and not all(is_number(one) for one in each.values):
        return [*map(flow, each.values)].index(flow(value))  # 1 is not true
    return value if isinstance(value, int) else float(value)


def labels(each: Range | None, scale: Scale) -> list[tuple[str, float]]:
    """(text, place) along an axis."""
    if each is not None and each.values is not None and not all(map(is_number, each.values)):
        texts = {number: flow(value) for number, value in enumerate(each.values)}
        return [(text[:18], scale(number)) for number, text in texts.items() if scale.low <= number <= scale.high]
    return [(f"{tick:.3g}", scale(tick)) for tick in dict.fromkeys((scale.low, scale.high))]


def importance(facts: SweepFacts, study: Any, done: int) -> tuple[str, str, str]:
    """How much of the first objective's variation each setting explains."""
    title = "Importance"
    if done < LEAST_FOR_IMPORTANCE:
        return title, f"is told of {LEAST_FOR_IMPORTANCE} complete trials or more", ""
    library = optuna()
    sign = -1 if next(iter(facts.objectives.values())) == "maximize" else 1
    try:
        found: Mapping[str, float] = library.importance.get_param_importances(
            study,
            evaluator=library.importance.PedAnovaImportanceEvaluator(),
            target=lambda trial: sign * trial.values[0],  # it takes low ones for good
        )
    except (*OF_FILES, ArithmeticError, RuntimeError) as error:
        return title, f"cannot be told of these trials: {str(error)[:SHOWN]}", ""
    rows = sorted(found.items(), key=lambda pair: -pair[1])
    most = max([value for _, value in rows], default=1) or 1
    bars = "".join(
        f'<text x="{LEFT + 110}" y="{22 * number + 15}" text-anchor="end">{escape(name)}</text>'
        f'<rect class="bar" x="{LEFT + 118}" y="{22 * number + 3}" width="{420 * value / most:.1f}" height="15"/>'
        f'<text x="{LEFT + 124 + 420 * value / most:.1f}" y="{22 * number + 15}">{value:.2f}</text>'
        for number, (name, value) in enumerate(rows)
    )
    words = "for being among the better trials (PED-ANOVA, Watanabe et al. 2023); shares of 1"
    return title, words, svg(bars, 22 * len(rows) + 6)


def curves(folder: SweepFolder, facts: SweepFacts, rows: Sequence[TrialRow]) -> tuple[str, str, str]:
    """The first objective that logs have, epoch by epoch, of all trials."""
    title = "Learning curves"
    name = next((each for each in facts.objectives if each not in COSTS), None)
    found = [] if name is None else [(row, curve(folder, row, name)) for row in rows[:MOST_CURVES]]
    found = [(row, points) for row, points in found if points]
    if not found or name is None:
        return title, "no trial has an epoch in its log", ""
    x = Scale.of([at for _, points in found for at, _ in points], LEFT + 10, WIDTH - RIGHT - 10)
    y = Scale.of([value for _, points in found for _, value in points], HEIGHT - BOTTOM - 10, TOP + 20)
    lines = "".join(
        f'<polyline class="trial{" best" if row.best else ""}" points="'
        f'{" ".join(f"{x(at)},{y(value)}" for at, value in points)}">{told(row)}</polyline>'
        for row, points in sorted(found, key=lambda pair: pair[0].best)
    )
    cut = f"; the first {MOST_CURVES} of {len(rows):,}" if len(rows) > MOST_CURVES else ""
    return title, f"{name} by epoch, those ended early too{cut}", svg(axes(x, y, "epoch", name) + lines)


def curve(folder: SweepFolder, row: TrialRow, name: str) -> list[tuple[int, float]]:
    """(epoch, value) of a trial's log; none where it cannot be read."""
    run = RunFolder(folder.trial(row.name))
    try:
        folder.check_trial(row.name)
        records = run.records() if run.log.exists() else []
    except GraphcError:
        return []
    return [
        (record["epoch"], float(record[name]))
        for record in records
        if is_finite(record.get(name)) and "epoch" in record
    ]
