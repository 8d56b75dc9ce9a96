"""The options of `graphc compile` that say in which numbers a file computes: --int8 and --float16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphc.cli.options import say, with_options
from graphc.files import atomic_write, keep_inputs, shown

FORMS = ("asymmetric", "symmetric", "weights")
HALF_FORMS = ("inside", "all")
REPORTS = {".json": "json", ".csv": "csv", ".md": "md", ".txt": "table"}
PICTURE = ".svg"

precision_options = with_options(
    click.option(
        "--int8",
        is_flag=False,
        flag_value=FORMS[0],
        type=click.Choice(FORMS),
        help="8-bit integers, by the ranges of --calibrate; symmetric: for TensorRT; weights: these alone, for size.",
    ),
    click.option(
        "--float16",
        is_flag=False,
        flag_value=HALF_FORMS[0],
        type=click.Choice(HALF_FORMS),
        help="Half precision where it is enough; all: of inputs and outputs too.",
    ),
    click.option(
        "--calibrate",
        multiple=True,
        metavar="DATA",
        help="A run's folder, images, folders of them, .npy files, or ranges that were kept (.json).",
    ),
    click.option(
        "--compare",
        multiple=True,
        metavar="DATA",
        help="With --float16 or --int8 weights: what is lost on these, as --calibrate takes them.",
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
        "--in-float", multiple=True, metavar="PATTERN", help="Layers that stay in float32: names, `first`, `last`."
    ),
    click.option(
        "--reduce-range",
        is_flag=True,
        help="Weights of 7 bits, for x86 processors without VNNI, which cut sums of products off at 16 bits.",
    ),
    click.option("--save-ranges", metavar="FILE", help="Keep the ranges: --calibrate takes them.  (.json)"),
    click.option(
        "--noise-report", metavar="FILE", help="Signal-to-noise by layer, the worst first: .svg, .csv, .json, .md."
    ),
)

GOES_WITH = {
    "calibrate": ("--int8 or --int8 symmetric", ("asymmetric", "symmetric")),
    "percentile": ("--int8 or --int8 symmetric", ("asymmetric", "symmetric")),
    "save_ranges": ("--int8 or --int8 symmetric", ("asymmetric", "symmetric")),
    "reduce_range": ("--int8 or --int8 symmetric", ("asymmetric", "symmetric")),
    "compare": ("--float16 or --int8 weights: --calibrate compares too", ("float16", "weights")),
    "in_float": ("--int8 or --float16", (*FORMS, "float16")),
    "noise_report": ("--int8 or --float16", (*FORMS, "float16")),
}
"""Option -> (with what it goes, in words; the conversions)."""


def converter_of(options: dict[str, Any], target: str, weights: Any) -> Any:
    """What `compile_plan` calls with the float32 model of these weights (a file, or None); None where it stays so."""
    if options["int8"] is not None and options["float16"] is not None:
        raise click.UsageError("--int8 and --float16 are two forms of a file: name one")
    conversion = "float16" if options["float16"] is not None else options["int8"]
    for name, (words, conversions) in GOES_WITH.items():
        if options[name] and conversion not in conversions:
            raise click.BadParameter(f"goes with {words}", param_hint=f"--{name.replace('_', '-')}")
    if conversion is None:
        return None
    _check_files(options, conversion, target)
    return _made(options, conversion, weights)


def _check_files(options: dict[str, Any], conversion: str, target: str) -> None:
    report, ranges = options["noise_report"], options["save_ranges"]
    if conversion in ("asymmetric", "symmetric"):
        if not options["calibrate"]:
            raise click.BadParameter("goes with --calibrate DATA: ranges are found on examples", param_hint="--int8")
        if not options["fold"]:
            raise click.BadParameter(
                "integers need batch norm folded: it does not go with --no-fold", param_hint="--int8"
            )
    endings = (PICTURE, *REPORTS)
    if report is not None and Path(report).suffix.lower() not in endings:
        raise click.BadParameter(f"expected a file that ends in {', '.join(endings)}", param_hint="--noise-report")
    if report is not None and not (options["calibrate"] or options["compare"]):
        raise click.BadParameter("goes with --compare DATA: noise is measured on examples", param_hint="--noise-report")
    if ranges is not None and Path(ranges).suffix.lower() != ".json":
        raise click.BadParameter("expected a file that ends in .json", param_hint="--save-ranges")
    keep_inputs((target, report, ranges), (*options["calibrate"], *options["compare"]))


def _made(options: dict[str, Any], conversion: Any, weights: Any) -> Any:
    from graphc.quantization import Quantizer
    from graphc.quantization.narrow import ToFloat16, WeightsToInt8

    examples = options["calibration_examples"]
    if conversion == "float16":
        return ToFloat16(options["compare"], options["in_float"], examples, say, options["float16"])
    if conversion == "weights":
        return WeightsToInt8(options["compare"], options["in_float"], examples, say)
    return Quantizer(
        options["calibrate"],
        conversion,
        options["in_float"],
        examples,
        options["percentile"],
        options["save_ranges"],
        say,
        weights,
        options["reduce_range"],
        options["targets"],
    )


def tell(converter: Any, report: str | None) -> None:
    """Say what a conversion has done and cost, and write the noise by tensor, the worst first."""
    for line in converter.told:
        say(line)
    if converter.cost is None:
        return
    say(converter.cost.describe())
    if report is None:
        return
    from graphc.report.noise import noise_picture, noise_table

    ending = Path(report).suffix.lower()
    noise = converter.cost.noise
    text = noise_picture(noise) if ending == PICTURE else noise_table(noise, REPORTS[ending])
    atomic_write(report, text.encode())
    say(f"wrote {shown(report)}")
