"""The options of `graphc compile --int8`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphc.cli.options import say, with_options
from graphc.files import atomic_write, keep_inputs, shown

FORMS = ("asymmetric", "symmetric")
REPORTS = {".json": "json", ".csv": "csv", ".md": "md", ".txt": "table"}

int8_options = with_options(
    click.option(
        "--int8",
        is_flag=False,
        flag_value=FORMS[0],
        type=click.Choice(FORMS),
        help="8-bit integers, by the ranges of --calibrate; symmetric: for TensorRT.",
    ),
    click.option(
        "--calibrate",
        multiple=True,
        metavar="DATA",
        help="A run's folder, images, folders of them, .npy files, or ranges that were kept (.json).",
    ),
    click.option(
        "--calibration-examples", type=click.IntRange(1), default=100, show_default=True, help="Taken evenly from all."
    ),
    click.option(
        "--percentile",
        type=click.FloatRange(50, 100, min_open=True),
        help="Of 100 values of a tensor, as many as count for its range.  [default: all]",
    ),
    click.option(
        "--in-float", multiple=True, metavar="PATTERN", help="Layers that stay in float: names, `first`, `last`."
    ),
    click.option("--save-ranges", metavar="FILE", help="Keep the ranges: --calibrate takes them.  (.json)"),
    click.option("--int8-report", metavar="FILE", help="Signal-to-noise by layer, the worst first: .csv, .json, .md."),
)


def quantizer_of(options: dict[str, Any], target: str) -> Any:
    """A `Quantizer`; None where the model stays in float."""
    others = ("calibrate", "percentile", "in_float", "save_ranges", "int8_report")
    if options["int8"] is None:
        given = next((name for name in others if options[name]), None)
        if given is not None:
            raise click.BadParameter("goes with --int8", param_hint=f"--{given.replace('_', '-')}")
        return None
    if not options["calibrate"]:
        raise click.BadParameter("goes with --calibrate DATA: ranges are found on examples", param_hint="--int8")
    if not options["fold"]:
        raise click.BadParameter("integers need batch norm folded: it does not go with --no-fold", param_hint="--int8")
    report, ranges = options["int8_report"], options["save_ranges"]
    if report is not None and Path(report).suffix.lower() not in REPORTS:
        raise click.BadParameter(f"expected a file that ends in {', '.join(REPORTS)}", param_hint="--int8-report")
    if ranges is not None and Path(ranges).suffix.lower() != ".json":
        raise click.BadParameter("expected a file that ends in .json", param_hint="--save-ranges")
    keep_inputs((target, report, ranges), options["calibrate"])
    from graphc.quantization import Quantizer

    return Quantizer(
        options["calibrate"],
        options["int8"],
        options["in_float"],
        options["calibration_examples"],
        options["percentile"],
        ranges,
        say,
    )


def write_noise(path: str | None, cost: Any) -> None:
    """The table of signal-to-noise by tensor, the worst first."""
    if path is None:
        return
    from graphc.report.tables import render

    rows = [[each.name, round(each.decibels, 2)] for each in sorted(cost.noise, key=lambda each: each.decibels)]
    text = render(("layer", "signal-to-noise, dB"), rows, REPORTS[Path(path).suffix.lower()])
    atomic_write(path, text.encode())
    say(f"wrote {shown(path)}")
