"""Commands that write and run ONNX files."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from graphc.cli.options import (
    collect_seldom,
    format_option,
    limits,
    load_options,
    loading,
    make_plan,
    out,
    provider_options,
    say,
    scaling_options,
    seed_option,
    spec_options,
    target_option,
    warn,
    weights_option,
)
from graphc.cli.precision import converter_of, precision_options, tell
from graphc.cli.step_graph import compile_step, training_options
from graphc.errors import GraphcError, counted
from graphc.files import keep_inputs, shown

WITH_WEIGHTS = "weights"
"""Of `--with-preprocess`: as for the published weights that are given."""


@click.command(name="compile")
@click.argument("spec", metavar="SPEC|RUN", required=False)
@click.option("-o", "--output", metavar="FILE", help="The ONNX file.  [default: NAME.onnx]")
@spec_options
@weights_option
@load_options
@click.option("--partial", is_flag=True, help="What the weights file lacks starts as initialised.")
@click.option("--save-weights", metavar="FILE", help="Also write all variables by name, .npz or .safetensors.")
@seed_option
@click.option("--opset", type=int, default=17, show_default=True, help="ONNX operator set, exactly.")
@click.option("--ir-version", type=int, default=8, show_default=True, help="ONNX file format version, exactly.")
@click.option("--batch", type=click.IntRange(1), help="Fix the number of examples.  [default: as the spec says]")
@click.option("--layout", type=click.Choice(["nhwc", "nchw"]), default="nhwc", show_default=True, help="Of the input.")
@click.option(
    "--output-layout", type=click.Choice(["nhwc", "nchw"]), help="Of image outputs.  [default: as the input's]"
)
@click.option("--fold/--no-fold", default=True, show_default=True, help="Fold batch norm, drop what inference drops.")
@click.option(
    "--with-preprocess",
    metavar="RUN",
    help="Take raw images, preprocess them as this run's folder says; `weights`: as for the published weights given.",
)
@click.option(
    "--raw",
    type=click.Choice(["uint8", "int8", "uint16", "int16", "int32", "float32"]),
    help="Type of those.  [default: the training set's integers, else uint8]",
)
@target_option
@precision_options
@training_options
def compile_command(spec: str | None, output: str | None, **options: Any) -> None:
    """Compile a spec to an ONNX file; or a run's network, with its best weights and its preprocessing; or a recipe's
    training step.

    \b
      graphc compile lenet5 -o lenet.onnx
      graphc compile net.yaml --weights trained.npz
      graphc compile runs/net -o net.onnx
      graphc compile net.yaml --with-preprocess run1
      graphc compile resnet50 --weights resnet50-11ad3fa6.pth --with-preprocess weights
      graphc compile net.yaml --batch 1
      graphc compile run1 --int8 --calibrate run1
      graphc compile run1 --float16 --compare run1
      graphc compile lenet5 --target webgpu
      graphc compile --training recipe.yaml --batch 64 -o net.train.onnx
    """
    collect_seldom()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads begin by looking for work, 70 ms of a processor
    if options["training"] is not None:
        compile_step(spec, output, options)
        return
    if options["unroll"] is not None:
        raise click.UsageError("--unroll goes with --training RECIPE")
    if spec is None:
        raise click.UsageError("Missing argument 'SPEC|RUN'.")
    from graphc.compiler import compile_spec
    from graphc.emit.targets import Targeting

    target = output or f"{Path(spec).stem}.onnx"
    if Path(spec).is_dir():
        spec = of_run(spec, options)
    if target == "-":
        raise click.BadParameter("an ONNX file is not printed; name a file", param_hint="--output")
    keep_inputs((target, options["save_weights"]), (spec, options["weights"], options["map_file"]))
    load = loading(options, options["weights"])
    preprocess, describe, weights_from = preparation(options, load)
    converter = converter_of(options, target, weights_from)
    targeting = Targeting(options["targets"])
    passes = (targeting.rewrite, *([] if converter is None else [converter]), targeting.look)
    how = emission(options, preprocess, describe, passes)
    plan, report = compile_spec(
        spec,
        target,
        options["settings"],
        weights_from=weights_from,
        load=load,
        partial=options["partial"],
        weights_to=options["save_weights"],
        seed=options["seed"],
        until=options["until"],
        how=how,
        limits=limits(options["max_layers"], options["max_memory"]),
    )
    warn(plan, targeting.warnings)
    if report is not None:
        say(report.describe())
    if converter is not None:
        tell(converter, options["noise_report"])
    say(f"wrote {shown(target)}: {counted(len(plan.nodes), 'layer')}, {Path(target).stat().st_size:,} bytes")


def emission(options: dict[str, Any], preprocess: Any, describe: Any, passes: Any) -> Any:
    """How the file is written, of the command's options."""
    from graphc.compiler import Emission

    names = ("opset", "ir_version", "layout", "output_layout", "fold")
    written = {name: options[name] for name in names}
    return Emission(**written, preprocess=preprocess, describe=describe, batch=options["batch"], passes=passes)


def of_run(run: str, options: dict[str, Any]) -> str:
    """The spec's file of a run, for whose options the run's own are taken."""
    for name in ("settings", "until", "with_preprocess"):
        if options[name]:
            option = f"--{'set' if name == 'settings' else name.replace('_', '-')}"
            raise click.UsageError(f"{option} is for a SPEC: a RUN has its own")
    from graphc.train.trained import model_of_run

    path, model = model_of_run(run)
    options |= {"settings": model.set, "until": model.until, "with_preprocess": run}
    return str(path)


def preparation(options: dict[str, Any], load: Any) -> tuple[Any, Any, Any]:
    """(what the file does to raw images, what it says of its inputs and outputs, where its weights are)."""
    run, weights_from = options["with_preprocess"], options["weights"]
    if run == WITH_WEIGHTS and weights_from is None:
        raise click.BadParameter("weights goes with --weights FILE", param_hint="--with-preprocess")
    if weights_from is not None and run in (None, WITH_WEIGHTS):
        from graphc import published

        front = partial(published.fronts, weights_from, load, options["raw"]) if run is not None else None
        return front, partial(published.metadata, weights_from, load, run is not None), weights_from
    if run is None:
        return None, None, weights_from
    from graphc.train.fitted import fronts_of_run
    from graphc.train.signing import metadata_of_run

    describe = partial(metadata_of_run, run, options["raw"])
    return partial(fronts_of_run, run, options["raw"]), describe, weights_from or Path(run) / "best.safetensors"


@click.command()
@click.argument("spec")
@spec_options
@weights_option
@load_options
@seed_option
@format_option
@click.option("--batch", type=click.IntRange(1), default=2, show_default=True)
@click.option("--size", "sizes", multiple=True, metavar="NAME=NUMBER", help="A size that the spec leaves open.")
@click.option("--tolerance", type=float, default=1e-4, show_default=True, help="Of the largest absolute value.")
@provider_options
def verify(spec: str, form: str, batch: int, sizes: tuple[str, ...], tolerance: float, **options: Any) -> None:
    """Compare onnxruntime with NumPy at every end point.

    \b
      graphc verify lenet5
      graphc verify net.yaml --size H=64 --size W=48
      graphc verify net.yaml --provider cuda
    """
    from graphc.compiler import initial_or_loaded
    from graphc.report.tables import render
    from graphc.verify import choose_sizes, read_sizes
    from graphc.verify import verify as compare

    plan = make_plan(spec, options["settings"], options["until"], options["max_layers"], options["max_memory"])
    params, _ = initial_or_loaded(plan, options["seed"], options["weights"], load=loading(options, options["weights"]))
    chosen = choose_sizes(plan, read_sizes(sizes))
    if chosen:
        say("sizes that the spec leaves open: " + ", ".join(f"{name} = {size}" for name, size in chosen.items()))
    memory = limits(options["max_layers"], options["max_memory"]).memory
    rows = compare(
        plan,
        params,
        batch=batch,
        sizes=chosen,
        seed=options["seed"],
        max_bytes=memory,
        provider=options["provider"],
        verbose=options["verbose"],
        say=say,
    )
    cells = [[row.name, row.largest, row.error, "ok" if row.error <= tolerance else "differs"] for row in rows]
    out(render(("end point", "largest value", "relative error", "verdict"), cells, form))
    wrong = [row.name for row in rows if not row.error <= tolerance]
    if wrong:
        raise GraphcError("G320", f"onnxruntime and NumPy differ by more than {tolerance:g} at {', '.join(wrong[:5])}")


@click.command()
@click.argument("model")
@click.argument("files", nargs=-1)
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME=FILE", help="A file for this input, where there are several."
)
@click.option("-o", "--output", default="-", metavar="FILE", help=".npy, .json or .png; - prints JSON.")
@provider_options
@click.option("--name", metavar="OUTPUT", help="Which output, where the model has several.")
@scaling_options
@click.option("--top", type=click.IntRange(1), help="Print only the largest values of each example.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="End a model that takes longer to load, or to run.  [default: none]",
)
def run(model: str, files: tuple[str, ...], **options: Any) -> None:
    """Run an ONNX file on images or .npy arrays; what a training run wrote, as predict does.

    \b
      graphc run lenet.onnx digit.png --top 3
      graphc run runs/digits/best.onnx digit.png
      graphc run stereo.onnx --input left=a.png --input right=b.png
      graphc run sobel.onnx photo.jpg -o edges.png
      graphc run lenet.onnx digit.png --provider cuda:device_id=1,cpu
    """
    from graphc.inference import run_files

    named = [each.partition("=")[2] for each in options["inputs"]]
    keep_inputs((None if options["output"] == "-" else options["output"],), (model, *files, *named))
    out(run_files(model, files, **options, say=say))
