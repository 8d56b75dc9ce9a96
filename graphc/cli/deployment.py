"""Commands about an ONNX file where it is used: how fast it runs, how it is shown, how a program calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphc.cli.options import data_memory_option, format_option, out, recipe_set_option, say, scaling_options
from graphc.cli.web_training import TRAINING_ALONE, with_train_only, write_training
from graphc.files import keep_inputs, shown


@click.command()
@click.argument("model", metavar="NET.onnx")
@click.option("--vs", "other", metavar="OTHER.onnx", help="Another file, run in turn with the first.")
@click.option("--provider", "providers", multiple=True, metavar="NAME…", help="As of `run`; several by repeating.")
@click.option("--threads", metavar="N,…", help="Of one run; several with commas.  [default: the processors]")
@click.option("--batch", "batches", metavar="N,…", help="Examples a run; several with commas.  [default: 1]")
@click.option("--size", "sizes", multiple=True, metavar="NAME=NUMBER", help="A size that the file leaves open.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    show_default=True,
    help="That each file runs in each row.",
)
@click.option("--warm-up", type=click.IntRange(0), default=3, show_default=True, help="Runs before those counted.")
@click.option("--verbose", is_flag=True, help="Show what onnxruntime itself writes.")
@format_option
def bench(model: str, other: str | None, form: str, **options: Any) -> None:
    """Measure latency and throughput of an ONNX file, anybody's, beside NumPy's matrix product.

    \b
      graphc bench lenet.onnx
      graphc bench net.onnx --threads 1,2 --batch 1,8
      graphc bench net_int8.onnx --vs net.onnx
      graphc bench detector.onnx --size H=480 --size W=640 --format json
    """
    from graphc.bench import STEADY, Setting
    from graphc.bench import bench as measure
    from graphc.report.speed import speed_table
    from graphc.system import processors
    from graphc.verify import read_sizes

    providers = options["providers"] or ("cpu",)
    threads = numbers("--threads", options["threads"]) or [processors()]
    batches = numbers("--batch", options["batches"])
    settings = [Setting(p, t, b) for p in providers for t in threads for b in batches or [1]]
    speeds = measure(
        [model] if other is None else [model, other],
        settings,
        read_sizes(options["sizes"]),
        fixed_batch=bool(batches),
        seconds=options["seconds"],
        warm_up=options["warm_up"],
        verbose=options["verbose"],
        say=say,
    )
    out(speed_table(speeds, form))
    widest = max(each.spread for each in speeds)
    if widest > STEADY:
        say(f"the times vary by {widest:.0%} of the median: something else is running here, or --seconds is short")


@click.command()
@click.argument("model", metavar="NET.onnx", required=False)
@click.option("--train", "recipe", metavar="RECIPE", help="Write a page that trains this recipe, in place of a file's.")
@click.option("-o", "--output", metavar="PATH", help="A folder, or a file.  [default: NAME-page, or NAME.html]")
@click.option("--single-file", is_flag=True, help="One HTML file with all inside, that a browser opens by itself.")
@click.option(
    "--runtime", metavar="PATH", help="npm's package onnxruntime-web, a .tgz or a folder.  [default: looked for here]"
)
@click.option(
    "--providers",
    type=click.Choice(["wasm", "wasm,webgpu"]),
    default="wasm",
    show_default=True,
    help="What the page may run on; WebGPU's runtime is twice as large.",
)
@click.option("--title", help="Of the page.  [default: the file's name]")
@click.option("--size", "sizes", multiple=True, metavar="NAME=NUMBER", help="A size that the file leaves open.")
@scaling_options
@click.option("--examples", type=click.IntRange(1), help="With --train: stored in it.  [default: what 8 MiB hold]")
@recipe_set_option
@data_memory_option
def web(model: str | None, recipe: str | None, output: str | None, single_file: bool, **options: Any) -> None:
    """Write a page on which anybody tries an ONNX file: drop a picture, draw, or use the camera; offline. With --train
    one that trains a recipe, on its examples and on pictures of one's own.

    \b
      npm pack onnxruntime-web@1.30.0
      graphc web digits.onnx --single-file -o digits.html
      graphc web photos.onnx -o site && python -m http.server -d site
      graphc web net.onnx --providers wasm,webgpu --runtime node_modules/onnxruntime-web
      graphc web --train examples/digits/recipe.yaml -o site
    """
    if recipe is not None:
        write_training(recipe, model, output, options)
        return
    if model is None:
        raise click.UsageError("expected NET.onnx, or --train RECIPE")
    with_train_only({name: options.pop(name) for name in TRAINING_ALONE})
    from graphc.inference import Scaling
    from graphc.verify import read_sizes
    from graphc.web.build import check_folder, make_page, write_single, write_site
    from graphc.web.runtime_package import read_runtime

    stem = Path(model).stem
    target = Path(output or (f"{stem}.html" if single_file else f"{stem}-page"))
    keep_inputs((target if single_file else target / "model.onnx",), (model, options["runtime"]))
    if not single_file:
        check_folder(target)
    runtime = read_runtime(options["runtime"], tuple(options["providers"].split(",")), Path.cwd())
    scaling = Scaling(options["scale"], options["mean"], options["std"])
    page = make_page(model, runtime, read_sizes(options["sizes"]), scaling, options["title"])
    (write_single if single_file else write_site)(page, target)
    paths = [target] if single_file else [each for each in target.rglob("*") if each.is_file()]
    size = sum(each.stat().st_size for each in paths)
    shows = ", ".join(f"{shown(each.name)} as {each.shown_as}" for each in page.description.outputs)
    say(f"wrote {shown(target)}: {size:,} bytes; shows {shows}")
    if not single_file:
        say(f"look at it: python -m http.server -d {shown(target)}")


@click.command()
@click.argument("model", metavar="NET.onnx")
@click.option(
    "--lang", "language", type=click.Choice(["python", "js"]), default="python", show_default=True, help="js: Node's."
)
@click.option("-o", "--output", default="-", metavar="FILE", help="- prints the program.  [default: -]")
@click.option("--size", "sizes", multiple=True, metavar="NAME=NUMBER", help="A size that the file leaves open.")
@scaling_options
def snippet(model: str, language: str, output: str, sizes: tuple[str, ...], **options: Any) -> None:
    """Write a small complete program that runs an ONNX file on pictures, with its preprocessing and its classes.

    \b
      graphc snippet photos.onnx -o photos.py
      graphc snippet photos.onnx --lang js -o photos.mjs
    """
    from graphc.files import atomic_write
    from graphc.inference import Scaling
    from graphc.runtime import Session
    from graphc.snippet.write import write_snippet
    from graphc.verify import read_sizes
    from graphc.web.describe import describe

    keep_inputs((None if output == "-" else output,), (model,))
    scaling = Scaling(options["scale"], options["mean"], options["std"])
    description = describe(Session(model), Path(model).stem, Path(model).name, read_sizes(sizes), scaling)
    text = write_snippet(description, language)
    if len(description.outputs) > 1:
        left_out = ", ".join(shown(each.name) for each in description.outputs[1:])
        say(f"the program says what {shown(description.outputs[0].name)} is; left out: {left_out}")
    if output == "-":
        out(text)
        return
    atomic_write(output, text.encode())
    say(f"wrote {shown(output)}: it runs {description.file}, which lies beside it")


def numbers(option: str, text: str | None) -> list[int]:
    """Positive numbers with commas; none where nothing is given."""
    if text is None:
        return []
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and 0 < len(part) < 7 and int(part) for part in parts):
        raise click.BadParameter(f"expected positive numbers with commas, got {text!r}", param_hint=option)
    return list(dict.fromkeys(map(int, parts)))
