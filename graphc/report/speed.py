"""What `bench` has measured, as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence

from graphc.bench import Speed
from graphc.report.tables import Look, render


def speed_table(speeds: Sequence[Speed], form: str) -> str:
    """One row a file and setting; `form`: as of `render`, of which json has every number that was measured."""
    if form == "json":
        return json.dumps([each.as_dict() for each in speeds], indent=1) + "\n"
    several = len({each.file for each in speeds}) > 1
    columns = ["provider", "threads", "batch", "ms", "5 to 95 %", "examples/s", "GMAC/s", "of GEMM"]
    rows = [
        [
            *([each.file] if several else []),
            each.provider,
            each.threads,
            each.batch,
            rounded(each.median_ms),
            f"{rounded(each.p5_ms)} to {rounded(each.p95_ms)}",
            rounded(each.examples_per_s),
            rounded(each.gmacs_per_s),
            "" if each.of_gemm is None else f"{each.of_gemm:.0%}",
            *([_ratio(each)] if several else []),
        ]
        for each in speeds
    ]
    if several:
        columns = ["file", *columns, "times as fast"]
    rates = sorted({(each.threads, rounded(each.gemm_gmacs_per_s)) for each in speeds if each.gemm_gmacs_per_s})
    notes = [f"GEMM: NumPy's float32 product, {rate:g} GMAC/s with threads={threads}" for threads, rate in rates]
    return render(columns, rows, form, look=Look(notes=notes))


def _ratio(speed: Speed) -> str:
    """As fast as the first file, with the middle half of the rounds."""
    if speed.ratio is None or speed.ratio_p25 is None or speed.ratio_p75 is None:
        return ""
    return f"{speed.ratio:.2f} ({speed.ratio_p25:.2f} to {speed.ratio_p75:.2f})"


def rounded(number: float) -> float:
    """To three digits that count."""
    short = float(f"{number:.3g}")
    return int(short) if short >= 100 else short
