"""The command line. Each command imports what it runs, so that `graphc --help` loads none of it."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from graphc import __version__
from graphc.console import discard_output, open_streams
from graphc.errors import GraphcError, SpecError, Warn, counted
from graphc.system import is_broken_pipe, stop_signals

MEASURES = click.Choice(["params", "MACs", "memory", "time"], case_sensitive=False)
FORMATS = click.Choice(["table", "json", "csv", "md"])
TERMINATED = 128 + 15
"""Exit code after SIGTERM."""


def with_options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


set_option = click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a variable of the spec.")
until_option = click.option("--until", metavar="END_POINT", help="Stop at this end point or layer.")
seed_option = click.option("--seed", default=0, show_default=True, help="Seed of the initial weights.")
weights_option = click.option("--weights", metavar="FILE", help="Variables by name, .npz or .safetensors.")
limit_options = with_options(
    click.option("--max-layers", type=click.IntRange(1), help="Layers after expansion.  [default: 50,000]"),
    click.option("--max-memory", type=float, metavar="GIB", help="Variables, and any activation.  [default: 8]"),
)
spec_options = with_options(set_option, until_option, limit_options)
format_option = click.option("--format", "form", type=FORMATS, default="table", show_default=True)


class Commands(click.Group):
    """Commands in the order in which one meets them, not in the alphabet's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="graphc")
def cli() -> None:
    """Write a convolutional network as YAML, get a checked ONNX file.

    SPEC is a path, or the name of a model of the zoo (graphc list).

    \b
      graphc new net.yaml && graphc show net.yaml
      graphc compile vgg_16 --set classes=10 -o vgg.onnx
    """


# writing and reading specs ---------------------------------------------------------------------------------


@cli.command()
@click.argument("path", default="net.yaml")
@click.option(
    "--recipe", is_flag=False, flag_value="recipe.yaml", metavar="[FILE]", help="A recipe too.  [default: recipe.yaml]"
)
@click.option("--data", metavar="FOLDER", help="What to train on: MNIST's files, or images with one folder a class.")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
def new(path: str, recipe: str | None, data: str | None, force: bool) -> None:
    """Write a commented starter spec, and a recipe to train it with.

    \b
      graphc new net.yaml
      graphc new --recipe
      graphc new --recipe --data photos
    """
    from graphc.train.new import new as write

    for line in write(path, recipe, data, force):
        say(line)


@cli.command()
@click.argument("spec")
@spec_options
@click.option("--strict", is_flag=True, help="Warnings are errors.")
def check(spec: str, strict: bool, **options: Any) -> None:
    """Check a spec: language, shapes, budgets, warnings.

    \b
      graphc check net.yaml
    """
    plan = make_plan(spec, **options)
    warnings = warn(plan)
    if strict and warnings:
        raise SpecError("G230", f"{counted(warnings, 'warning')}, and --strict allows none")
    say(f"{spec}: {counted(len(plan.nodes), 'layer')}, no errors")


@cli.command()
@click.argument("spec")
@spec_options
@format_option
@click.option("--depth", type=click.IntRange(1), help="Fold groups below this depth into one row.")
@click.option("--columns", metavar="NAME,…", help="Only these columns.")
@click.option("--tree", "as_tree", is_flag=True, help="Indent layers below their groups, with sums.")
@click.option(
    "--by", type=click.Choice(["params", "MACs", "memory", "time"], case_sensitive=False), help="Largest first."
)
def show(spec: str, form: str, depth: int | None, columns: str | None, **options: Any) -> None:
    """Show every layer: shape, receptive field, parameters, MACs, memory.

    \b
      graphc show resnet_v1_50 --depth 2
      graphc show vgg_16 --by params
      graphc show net.yaml --format json
    """
    from graphc.report.show import COLUMNS
    from graphc.report.show import show as render
    from graphc.report.where import where

    chosen = tuple(name.strip() for name in columns.split(",")) if columns else ()
    for name in chosen:
        if name not in COLUMNS:
            raise click.BadParameter(f"no column {name!r}; there are {', '.join(COLUMNS)}", param_hint="--columns")
    as_tree, by = options.pop("as_tree"), options.pop("by")
    plan = make_plan(spec, **options)
    if by is None:
        out(render(plan, form, depth=depth, columns=chosen, as_tree=as_tree))
    else:
        out(where(plan, "ms" if by == "time" else by, form, depth=depth))
    warn(plan)


@cli.command()
@click.argument("spec_or_word")
@click.argument("layer", required=False)
@set_option
@format_option
def explain(spec_or_word: str, layer: str | None, form: str, settings: tuple[str, ...]) -> None:
    """Explain a layer's effective arguments (SPEC LAYER[.ARG]), or what a kind or a key means (WORD).

    \b
      graphc explain vgg_16 conv3/conv3_2
      graphc explain vgg_16 conv3/conv3_2.padding
      graphc explain conv2d
      graphc explain adam
    """
    from graphc.report.explain import explain_layer, explain_word

    if layer is None:
        out(explain_word(spec_or_word, form))
    else:
        out(explain_layer(make_plan(spec_or_word, settings=settings), layer, form))


@cli.command()
@click.argument("old")
@click.argument("new_spec", metavar="NEW")
@format_option
def diff(old: str, new_spec: str, form: str) -> None:
    """Compare two specs: layers, shapes, counts.

    \b
      graphc diff resnet_v1_50 resnet_v2_50
    """
    from graphc.report.diff import diff as compare

    out(compare(make_plan(old), make_plan(new_spec), form))


@cli.command()
@click.argument("spec")
@click.option("-o", "--output", metavar="FILE", help=".svg, .html, .dot or .mmd.  [default: NAME.svg]")
@spec_options
def draw(spec: str, output: str | None, **options: Any) -> None:
    """Draw a model: repeats folded, branches side by side.

    \b
      graphc draw inception_v3 -o net.svg
      graphc draw net.yaml -o net.html
    """
    from graphc.files import atomic_write
    from graphc.report.picture.draw import FORMATS

    target = Path(output or f"{Path(spec).stem}.svg")
    if target.suffix not in FORMATS:
        raise click.BadParameter(f"{target.name} ends in none of {', '.join(FORMATS)}", param_hint="--output")
    picture = FORMATS[target.suffix](make_plan(spec, **options))
    atomic_write(target, picture.encode())
    say(f"wrote {target}")


@cli.command()
@click.argument("spec_or_run", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", help="The page.  [default: NAME.html]")
@spec_options
@weights_option
@click.option("--image", "images", multiple=True, metavar="FILE", help="Shown, and with --weights run (scaled to 0…1).")
def report(spec_or_run: tuple[str, ...], output: str | None, **options: Any) -> None:
    """Report on a spec, or on runs of training, as one page without network.

    \b
      graphc report resnet_v1_50 -o resnet.html
      graphc report lenet5 --weights best.safetensors --image digit.png
      graphc report runs/one runs/two
    """
    from graphc.files import atomic_write
    from graphc.report.page.report import report_runs, report_spec
    from graphc.report.page.runs import is_run, read_run

    weights, images = options.pop("weights"), options.pop("images")
    runs = [path for path in spec_or_run if is_run(path)]
    if len(runs) < len(spec_or_run) and len(spec_or_run) > 1:
        raise click.UsageError("expected one SPEC, or folders of runs")
    if runs and (weights or images):
        raise click.UsageError("--weights and --image are for a SPEC: a run has its own")
    if runs:
        page = report_runs([read_run(path) for path in runs], say)
    else:
        page = report_spec(make_plan(spec_or_run[0], **options), weights, images, say)
    target = output or f"{Path(spec_or_run[0]).stem}.html"
    atomic_write(target, page.encode())
    say(f"wrote {target}: {len(page.encode()) / 1e6:.1f} MB")


@cli.command(name="list")
@format_option
def list_zoo(form: str) -> None:
    """List the zoo: input, parameters, MACs, receptive field.

    \b
      graphc list --format csv
    """
    from graphc.report.listing import listing

    out(listing(form))


@cli.command()
@click.option("-o", "--output", default="-", help="File to write; - is standard output.")
@click.option("--recipe", is_flag=True, help="Of training recipes instead.")
def schema(output: str, recipe: bool) -> None:
    """Write the JSON Schema of spec files, for editors.

    \b
      graphc schema -o graphc.schema.json
      graphc schema --recipe -o recipe.schema.json
    """
    import json

    from graphc.files import atomic_write

    if recipe:
        from graphc.train.recipe import recipe_schema as json_schema
    else:
        from graphc.spec.schema import json_schema

    text = json.dumps(json_schema(), indent=1) + "\n"
    if output == "-":
        out(text)
    else:
        atomic_write(output, text.encode())


# ONNX ------------------------------------------------------------------------------------------------------


@cli.command(name="compile")
@click.argument("spec")
@click.option("-o", "--output", metavar="FILE", help="The ONNX file.  [default: NAME.onnx]")
@spec_options
@weights_option
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
@click.option("--with-preprocess", metavar="RUN", help="Take raw images, preprocess them as this run's folder says.")
@click.option(
    "--raw", type=click.Choice(["uint8", "float32"]), default="uint8", help="Type of those.  [default: uint8]"
)
def compile_command(spec: str, output: str | None, **options: Any) -> None:
    """Compile a spec to an ONNX file.

    \b
      graphc compile lenet5 -o lenet.onnx
      graphc compile net.yaml --weights trained.npz
      graphc compile net.yaml --with-preprocess run1
      graphc compile net.yaml --batch 1
    """
    gc.set_threshold(100_000)  # looking for cycles, of which there are few here, took a fifteenth of the time
    from graphc.compiler import Emission, compile_spec

    target = output or f"{Path(spec).stem}.onnx"
    if target == "-":
        raise click.BadParameter("an ONNX file is not printed; name a file", param_hint="--output")
    run, weights_from, preprocess, describe = options["with_preprocess"], options["weights"], None, None
    if run is not None:
        from graphc.train.fitted import fronts_of_run
        from graphc.train.signing import metadata_of_run

        preprocess = partial(fronts_of_run, run, options["raw"])
        describe = partial(metadata_of_run, run, options["raw"])
        weights_from = weights_from or Path(run) / "best.safetensors"
    how = Emission(
        options["opset"],
        options["ir_version"],
        options["layout"],
        options["output_layout"],
        options["fold"],
        preprocess,
        describe,
        options["batch"],
    )
    plan, report = compile_spec(
        spec,
        target,
        options["settings"],
        weights_from=weights_from,
        partial=options["partial"],
        weights_to=options["save_weights"],
        seed=options["seed"],
        until=options["until"],
        how=how,
        limits=limits(options["max_layers"], options["max_memory"]),
    )
    warn(plan)
    if report is not None:
        say(report.describe())
    say(f"wrote {target}: {counted(len(plan.nodes), 'layer')}, {Path(target).stat().st_size:,} bytes")


@cli.command()
@click.argument("spec")
@spec_options
@weights_option
@seed_option
@format_option
@click.option("--batch", type=click.IntRange(1), default=2, show_default=True)
@click.option("--size", "sizes", multiple=True, metavar="NAME=NUMBER", help="A size that the spec leaves open.")
@click.option("--tolerance", type=float, default=1e-4, show_default=True, help="Of the largest absolute value.")
def verify(spec: str, form: str, batch: int, sizes: tuple[str, ...], tolerance: float, **options: Any) -> None:
    """Compare onnxruntime with NumPy at every end point.

    \b
      graphc verify lenet5
      graphc verify net.yaml --size H=64 --size W=48
    """
    from graphc.compiler import initial_or_loaded
    from graphc.report.tables import render
    from graphc.verify import choose_sizes, read_sizes
    from graphc.verify import verify as compare

    plan = make_plan(spec, options["settings"], options["until"], options["max_layers"], options["max_memory"])
    params, _ = initial_or_loaded(plan, options["seed"], options["weights"])
    chosen = choose_sizes(plan, read_sizes(sizes))
    if chosen:
        say("sizes that the spec leaves open: " + ", ".join(f"{name} = {size}" for name, size in chosen.items()))
    rows = compare(plan, params, batch=batch, sizes=chosen, seed=options["seed"])
    cells = [[row.name, row.largest, row.error, "ok" if row.error <= tolerance else "differs"] for row in rows]
    out(render(("end point", "largest value", "relative error", "verdict"), cells, form))
    wrong = [row.name for row in rows if not row.error <= tolerance]
    if wrong:
        raise GraphcError("G320", f"onnxruntime and NumPy differ by more than {tolerance:g} at {', '.join(wrong[:5])}")


@cli.command()
@click.argument("model")
@click.argument("files", nargs=-1)
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME=FILE", help="A file for this input, where there are several."
)
@click.option("-o", "--output", default="-", metavar="FILE", help=".npy, .json or .png; - prints JSON.")
@click.option("--provider", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--name", metavar="OUTPUT", help="Which output, where the model has several.")
@click.option("--scale", type=float, help="Factor for image bytes.  [default: as the file says, else 1/255]")
@click.option("--mean", metavar="R,G,B", help="Subtracted after scaling.")
@click.option("--std", metavar="R,G,B", help="Divided by, after the mean.")
@click.option("--top", type=click.IntRange(1), help="Print only the largest values of each example.")
def run(model: str, files: tuple[str, ...], **options: Any) -> None:
    """Run an ONNX file on images or .npy arrays; what a training run wrote, as predict does.

    \b
      graphc run lenet.onnx digit.png --top 3
      graphc run runs/digits/best.onnx digit.png
      graphc run stereo.onnx --input left=a.png --input right=b.png
      graphc run sobel.onnx photo.jpg -o edges.png
    """
    from graphc.inference import run_files

    out(run_files(model, files, **options, say=say))


# training --------------------------------------------------------------------------------------------------

threads_option = click.option(
    "--threads", type=click.IntRange(1), help="The results do not depend on it.  [default: the processors]"
)
data_memory_option = click.option(
    "--max-memory", type=float, metavar="GIB", help="Of a data set in memory.  [default: 8]"
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print errors only.")


@cli.command()
@click.argument("recipe")
@click.option("-o", "--output", metavar="FOLDER", help="The run's folder.  [default: runs/NAME-of-the-recipe]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the recipe.")
@threads_option
@data_memory_option
@quiet_option
@click.option("--dashboard", is_flag=True, help="Serve a live page of the run, on this machine alone.")
def train(
    recipe: str, output: str | None, settings: tuple[str, ...], quiet: bool, dashboard: bool, **options: Any
) -> None:
    """Train a recipe; the run's folder keeps log, checkpoints and the best weights as ONNX.

    \b
      graphc train examples/digits/recipe.yaml -o runs/digits
      graphc train recipe.yaml --set epochs=5 --set optimizer=adamw
    """
    from graphc.train.commands import train as run_training
    from graphc.train.progress import reporter

    path = Path(recipe).absolute()
    folder = output or str(Path("runs") / (path.stem if path.stem != "recipe" else path.parent.name or "run"))
    with serving(folder) if dashboard else nullcontext():
        run_training(recipe, folder, settings, reporter(quiet), train_options(**options))
    say(f"wrote {folder}")


@cli.command()
@click.argument("run_folder", metavar="RUN")
@click.option("--epochs", type=click.IntRange(1), help="So many epochs in all, in place of the recipe's.")
@click.option("--data", metavar="FOLDER", help="Where the recipe's paths start now, if the data have moved.")
@click.option("--exact", is_flag=True, help="Refuse where the last bits could differ (other NumPy, other processor).")
@threads_option
@data_memory_option
@quiet_option
def resume(run_folder: str, quiet: bool, epochs: int | None, data: str | None, **options: Any) -> None:
    """Go on with a run that was stopped: it ends with the same bytes as one that was not.

    \b
      graphc resume runs/digits
      graphc resume runs/digits --epochs 30 --data /mnt/digits
    """
    from graphc.train.commands import resume as resume_training
    from graphc.train.progress import reporter

    resume_training(run_folder, reporter(quiet), train_options(**options), epochs=epochs, data=data)
    say(f"wrote {run_folder}")


@cli.command(name="eval")
@click.argument("run_folder", metavar="RUN")
@click.option("--data", metavar="RECIPE", help="Take the test set of another recipe.")
@weights_option
@threads_option
@data_memory_option
def eval_command(run_folder: str, data: str | None, weights: str | None, **options: Any) -> None:
    """Loss and metrics of a run's best weights on its test set (else its validation set), as JSON.

    \b
      graphc eval runs/digits
    """
    from graphc.train.commands import evaluate_run
    from graphc.valid_json import dumps

    out(dumps(evaluate_run(run_folder, data, weights, train_options(**options)), indent=1) + "\n")


@cli.command()
@click.argument("run_folder", metavar="RUN")
@click.argument("files", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="Classes to print.")
@click.option(
    "-o", "--output", metavar="FILE", help=".csv, .json or .jsonl; a folder: masks as PNGs.  [default: JSON lines]"
)
@click.option(
    "--bad-files",
    type=click.Choice(["error", "skip"]),
    help="What happens to a file that cannot be read.  [default: as in the recipe]",
)
@weights_option
@threads_option
@data_memory_option
def predict(run_folder: str, files: tuple[str, ...], top: int, output: str | None, **options: Any) -> None:
    """Classify images (of folders: all below them), or the rows of .npz files, with a run's best weights.

    \b
      graphc predict runs/digits digit.png --top 3
      graphc predict runs/net photos -o photos.csv --bad-files skip
      graphc predict runs/segmentation photos -o masks
    """
    from graphc.train import answers
    from graphc.train.predict import predict as run_prediction
    from graphc.train.predict import predict_masks
    from graphc.valid_json import dumps

    bad_files, weights = options.pop("bad_files"), options.pop("weights")
    common = {"weights_path": weights, "options": train_options(**options), "bad_files": bad_files, "say": say}
    if output is not None:
        answers.check_output(output)
        if answers.is_folder(output):
            say(f"wrote {predict_masks(run_folder, files, output, **common)}")
            return
    found = run_prediction(run_folder, files, top, **common)
    if output is not None:
        say(f"wrote {answers.write_answers(found, output)}")
        return
    for answer in found:
        out(dumps(answer) + "\n")


# data ------------------------------------------------------------------------------------------------------


@cli.group()
def data() -> None:
    """Look at a recipe's data before training.

    \b
      graphc data stats recipe.yaml
    """


recipe_set_option = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the recipe."
)


@data.command(name="stats")
@click.argument("recipe")
@recipe_set_option
@data_memory_option
@format_option
@click.option("-o", "--output", metavar="PNG", help="Also a chart of classes and values.")
def data_stats(recipe: str, settings: tuple[str, ...], max_memory: float | None, form: str, output: str | None) -> None:
    """Count examples, classes, sizes, values, correlations, duplicates, bad files.

    \b
      graphc data stats recipe.yaml
      graphc data stats recipe.yaml --format json -o chart.png
    """
    from graphc.train.look import stats

    out(stats(recipe, settings, form, output, limits(None, max_memory).memory))


@data.command(name="preview")
@click.argument("recipe")
@recipe_set_option
@data_memory_option
@click.option("-o", "--output", metavar="PNG", default="preview.png", show_default=True, help="The picture.")
@click.option("--count", type=click.IntRange(1, 200), default=8, show_default=True, help="Examples.")
@click.option("--columns", type=click.IntRange(1, 50), default=5, show_default=True, help="Augmented forms of each.")
@click.option("--epoch", type=click.IntRange(0), default=0, show_default=True, help="Of the first form.")
def data_preview(recipe: str, settings: tuple[str, ...], max_memory: float | None, output: str, **options: int) -> None:
    """Draw examples beside what augmentation makes of them, annotations drawn in.

    \b
      graphc data preview examples/boxes/recipe.yaml -o boxes.png
    """
    from graphc.train.look import preview

    words = preview(recipe, settings, output, **options, limit=limits(None, max_memory).memory)
    say(f"wrote {output}: {words}")


# completion ------------------------------------------------------------------------------------------------


class Completed(click.types.StringParamType):
    """A text that a shell completes."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from graphc.completion import complete

        names = [each.name or "" for each in ctx.command.params if isinstance(each, click.Argument)]
        given = {**ctx.params, **dict(zip(names, ctx.args, strict=False))}  # args: where an option lacks its value yet
        found = complete(param.name or "", incomplete, given)
        return [CompletionItem(incomplete, type="file")] if found is None else list(map(CompletionItem, found))


def complete_texts(group: click.Group) -> None:
    for command in group.commands.values():
        if isinstance(command, click.Group):
            complete_texts(command)
        for parameter in command.params:
            if isinstance(parameter.type, click.types.StringParamType):
                parameter.type = Completed()


complete_texts(cli)


# plumbing --------------------------------------------------------------------------------------------------


def serving(folder: str) -> Any:
    from graphc.report.dashboard import dashboard

    return dashboard(folder, say)


def train_options(threads: int | None, max_memory: float | None, exact: bool = False) -> Any:
    from graphc.train.commands import Options

    return Options(threads, limits(None, max_memory).memory, exact)


def limits(max_layers: int | None, max_memory: float | None) -> Any:
    from graphc.compiler import Limits

    default = Limits()
    if max_memory is not None and not 0 < max_memory < 2**20:
        raise click.BadParameter(f"expected GiB from 0 to 2**20, got {max_memory:g}", param_hint="--max-memory")
    memory = default.memory if max_memory is None else int(max_memory * 2**30)
    return Limits(max_layers or default.layers, memory)


def make_plan(
    spec: str,
    settings: tuple[str, ...] = (),
    until: str | None = None,
    max_layers: int | None = None,
    max_memory: float | None = None,
) -> Any:
    from graphc.compiler import plan_spec

    return plan_spec(spec, settings, until=until, limits=limits(max_layers, max_memory))


def warn(plan: Any) -> int:
    """Print the plan's warnings and lints; how many there are."""
    from graphc.passes.lints import lints

    warnings: list[Warn] = [*plan.warnings, *lints(plan)]
    for warning in warnings:
        say(str(warning))
    return len(warnings)


def out(text: str) -> None:
    click.echo(text, nl=False)


def say(text: str) -> None:
    click.echo(text, err=True)


def main() -> None:
    """Run a command; every failure is one sentence and an exit code (see graphc.errors)."""
    open_streams()
    for number in stop_signals():
        if number != signal.SIGINT:  # Python's own
            signal.signal(number, _terminate)
    code = run_command()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)  # nothing is left to do; after a signal threads may be at work still on a step that was given up


def _terminate(*_: object) -> None:
    """Leave by way of every `finally`, so that nothing half-written stays."""
    raise SystemExit(TERMINATED)


def run_command() -> int:
    try:
        result = cli.main(prog_name="graphc", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except GraphcError as error:
        say(str(error))
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return 130
    except SystemExit as error:
        if error.code == TERMINATED:
            say("terminated")
            return TERMINATED
        return 0  # click's: completion is done, or nobody reads our output any more
    except MemoryError:
        say("error[G503]: this needs more memory than there is")
        return 3
    except OSError as error:
        if is_broken_pipe(error):
            discard_output()
            return 0
        where = f"{error.filename}: " if error.filename else ""
        say(f"{where}error[G504]: {error.strerror or error}")
        return 3
    except Exception as error:
        if os.environ.get("GRAPHC_DEBUG"):
            raise
        say(f"error[G900]: a bug in graphc: {type(error).__name__}: {error} (GRAPHC_DEBUG=1 shows where)")
        return 1


if __name__ == "__main__":
    main()
