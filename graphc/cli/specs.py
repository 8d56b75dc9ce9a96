"""Commands that write, read and show specs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphc.cli.options import (
    FORMATS,
    MEASURES,
    collect_seldom,
    format_option,
    limit_options,
    load_options,
    loading,
    make_plan,
    out,
    say,
    set_option,
    spec_options,
    target_option,
    target_warnings,
    until_option,
    warn,
    weights_option,
)
from graphc.errors import SpecError, counted
from graphc.files import shown


@click.command()
@click.argument("path", default="net.yaml")
@click.option(
    "--recipe", is_flag=False, flag_value="recipe.yaml", metavar="[FILE]", help="A recipe too.  [default: recipe.yaml]"
)
@click.option("--data", metavar="FOLDER", help="What to train on: MNIST's files, or images with one folder a class.")
@weights_option
@load_options
@click.option("--force", is_flag=True, help="Overwrite what is there.")
def new(path: str, recipe: str | None, data: str | None, weights: str | None, force: bool, **options: Any) -> None:
    """Write a commented starter spec, and a recipe to train it with; with --weights a recipe that goes on from them.

    \b
      graphc new net.yaml
      graphc new --recipe
      graphc new --recipe --data photos
      graphc new resnet18 --recipe --data photos --weights resnet18-f37072fd.pth
    """
    from graphc.files import keep_inputs
    from graphc.train.fine_tune import Pretrained
    from graphc.train.new import new as write

    map_file = options["map_file"]
    keep_inputs((path, recipe), (weights, map_file))
    load = loading(options, weights)
    start = None if weights is None else Pretrained(weights, load, map_file)
    for line in write(path, recipe, data, force, start):
        say(line)


@click.command()
@click.argument("spec")
@spec_options
@click.option("--strict", is_flag=True, help="Warnings are errors.")
@target_option
def check(spec: str, strict: bool, targets: tuple[str, ...], **options: Any) -> None:
    """Check a spec: language, shapes, budgets, warnings. Of a recipe also its own keys, and whether its losses and
    metrics fit the network; no data are read.

    \b
      graphc check net.yaml
      graphc check net.yaml --target opencv
      graphc check recipe.yaml
    """
    plan = plan_of(spec, **options)
    warnings = warn(plan, target_warnings(plan, targets))
    if strict and warnings:
        raise SpecError("G230", f"{counted(warnings, 'warning')}, and --strict allows none")
    say(f"{shown(spec)}: {counted(len(plan.nodes), 'layer')}, no errors")


def plan_of(path: str, **options: Any) -> Any:
    """The plan of a spec, or of the network that a recipe trains."""
    try:
        return make_plan(path, **options)
    except SpecError as error:
        if error.code not in ("G150", "G152") or any(options.values()):
            raise
        from graphc.train.recipe import read_recipe
        from graphc.train.recipe_tree import is_recipe
        from graphc.train.task import task_of

        if not is_recipe(path):
            raise
    return task_of(read_recipe(path), Path(path).parent).plan


@click.command()
@click.argument("spec")
@spec_options
@format_option
@click.option("--depth", type=click.IntRange(1), help="Fold groups below this depth into one row.")
@click.option("--columns", metavar="NAME,…", help="Only these columns.")
@click.option("--tree", "as_tree", is_flag=True, help="Indent layers below their groups, with sums.")
@click.option("--by", type=MEASURES, help="Largest first.")
@click.option("--arena", "as_arena", is_flag=True, help="Where each tensor lies in one block of memory, and when.")
@click.option("--itemsize", type=click.Choice(["1", "2", "4"]), help="With --arena: bytes of a number.  [default: 4]")
@click.option("--kernels", "by_kernels", is_flag=True, help="How NumPy computes: convolutions, layers run as one.")
@click.option("--batch", type=click.IntRange(1), help="With --kernels: examples at once.  [default: 32]")
@click.option("--training", is_flag=True, help="With --kernels: in training, with the gradients.")
def show(
    spec: str,
    form: str,
    depth: int | None,
    columns: str | None,
    by_kernels: bool,
    batch: int | None,
    training: bool,
    **options: Any,
) -> None:
    """Show every layer: shape, receptive field, parameters, MACs, memory.

    \b
      graphc show resnet_v1_50 --depth 2
      graphc show vgg_16 --by params
      graphc show net.yaml --format json
      graphc show net.yaml --kernels --training
      graphc show net.yaml --arena --itemsize 1
    """
    from graphc.report.show import COLUMNS
    from graphc.report.show import show as render
    from graphc.report.where import where

    known = {name.lower(): name for name in COLUMNS}
    written = [name.strip() for name in columns.split(",")] if columns else []
    chosen = tuple(known.get(name.lower().replace("_", " "), name) for name in written)
    for name in chosen:
        if name not in COLUMNS:
            raise click.BadParameter(f"no column {name!r}; there are {', '.join(COLUMNS)}", param_hint="--columns")
    as_tree, by = options.pop("as_tree"), options.pop("by")
    as_arena, itemsize = options.pop("as_arena"), options.pop("itemsize")
    if (by_kernels or as_arena) and (depth or chosen or as_tree or by or (by_kernels and as_arena)):
        raise click.UsageError("--kernels and --arena go alone, without --depth, --columns, --tree and --by")
    if by and (chosen or as_tree):
        raise click.UsageError("--by has columns of its own, in order of size: it goes without --columns and --tree")
    if itemsize and not as_arena:
        raise click.UsageError("--itemsize goes with --arena")
    if not by_kernels and (batch or training):
        raise click.UsageError("--batch and --training go with --kernels")
    plan = make_plan(spec, **options)
    if by_kernels:
        from graphc.report.kernels import kernels

        out(kernels(plan, form, batch=batch or 32, training=training))
    elif as_arena:
        from graphc.report.arena import arena_table

        out(arena_table(plan, form, int(itemsize or 4)))
    elif by is None:
        out(render(plan, form, depth=depth, columns=chosen, as_tree=as_tree))
    else:
        out(where(plan, "ms" if by == "time" else by, form, depth=depth))
    warn(plan)


@click.command()
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


@click.command()
@click.argument("old")
@click.argument("new_spec", metavar="NEW")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a variable of both specs.")
@click.option("--set-new", "of_new", multiple=True, metavar="NAME=VALUE", help="Set a variable of NEW alone.")
@format_option
def diff(old: str, new_spec: str, settings: tuple[str, ...], of_new: tuple[str, ...], form: str) -> None:
    """Compare two specs: layers, shapes, counts.

    \b
      graphc diff resnet_v1_50 resnet_v2_50 --set classes=10
      graphc diff net.yaml net.yaml --set-new width=0.5
    """
    from graphc.report.diff import diff as compare

    out(compare(make_plan(old, settings), make_plan(new_spec, (*settings, *of_new)), form))


@click.command()
@click.argument("run_or_spec", nargs=-1, required=True)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A variable of the specs; twice: a row for each."
)
@until_option
@limit_options
@click.option("--format", "form", type=click.Choice([*FORMATS.choices, "latex"]), default="table", show_default=True)
def compare(run_or_spec: tuple[str, ...], settings: tuple[str, ...], form: str, **options: Any) -> None:
    """Compare variants and runs, one row each: parameters, MACs, memory, receptive field; of runs the best epoch, its
    metrics, and seconds an epoch.

    \b
      graphc compare vgg_16 resnet_v1_50 mobilenet_v1
      graphc compare mobilenet_v1 --set depth_multiplier=0.5 --set depth_multiplier=1
      graphc compare runs/one runs/two --format latex
    """
    from graphc.report.compare import compare as render
    from graphc.report.compare import row_of_run, rows_of_spec
    from graphc.report.page.runs import is_run

    runs = [each for each in run_or_spec if is_run(each)]
    if (settings or options["until"]) and len(runs) == len(run_or_spec):
        raise click.UsageError("--set and --until are for a SPEC: a RUN has its own")
    rows = []
    for each in run_or_spec:
        if each in runs:
            rows.append(row_of_run(each))
        else:
            rows += rows_of_spec(each, settings, lambda spec, chosen: make_plan(spec, chosen, **options))
    out(render(rows, form))


@click.command()
@click.argument("spec")
@click.option("-o", "--output", metavar="FILE", help=".svg, .html, .pdf, .png, .dot or .mmd.  [default: NAME.svg]")
@spec_options
def draw(spec: str, output: str | None, **options: Any) -> None:
    """Draw a model: repeats folded, branches side by side.

    \b
      graphc draw inception_v3 -o net.svg
      graphc draw net.yaml -o net.html
      graphc draw net.yaml -o net.pdf
    """
    from graphc.files import atomic_write, keep_inputs
    from graphc.report.picture.draw import ENDINGS, draw_as

    target = Path(output or f"{Path(spec).stem}.svg")
    if target.suffix not in ENDINGS:
        raise click.BadParameter(f"{target.name} ends in none of {', '.join(ENDINGS)}", param_hint="--output")
    keep_inputs((target,), (spec,))
    atomic_write(target, draw_as(make_plan(spec, **options), target.suffix))
    say(f"wrote {shown(target)}")


@click.command()
@click.argument("spec_or_run", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", help="The page.  [default: NAME.html]")
@spec_options
@weights_option
@load_options
@click.option(
    "--image", "images", multiple=True, metavar="FILE", help="Shown, and with --weights run, prepared as for these."
)
def report(spec_or_run: tuple[str, ...], output: str | None, **options: Any) -> None:
    """Report on a spec, on runs of training, or on a sweep, as one page without network.

    \b
      graphc report resnet_v1_50 -o resnet.html
      graphc report lenet5 --weights best.safetensors --image digit.png
      graphc report runs/one runs/two
      graphc report sweeps/width
    """
    from graphc.files import atomic_write, keep_inputs
    from graphc.report.page.report import report_runs, report_spec
    from graphc.report.page.runs import is_run, read_run

    weights, images = options.pop("weights"), options.pop("images")
    target = output or f"{Path(spec_or_run[0]).stem}.html"
    keep_inputs((target,), (*spec_or_run, weights, options["map_file"], *images))
    load = loading(options, weights)
    runs = [path for path in spec_or_run if is_run(path)]
    if len(runs) < len(spec_or_run) and len(spec_or_run) > 1:
        raise click.UsageError("expected one SPEC, or folders of runs")
    if runs and (weights or images):
        raise click.UsageError("--weights and --image are for a SPEC: a run has its own")
    if of_sweep := sweep_page(spec_or_run[0]) if len(spec_or_run) == 1 else "":
        page = of_sweep.encode()
    elif runs:
        page = report_runs([read_run(path) for path in runs], say).encode()
    else:
        page = report_spec(make_plan(spec_or_run[0], **options), weights, images, say, load).encode()
    atomic_write(target, page)
    say(f"wrote {shown(target)}: {len(page) / 1e6:.1f} MB")


def sweep_page(path: str) -> str:
    """The page of a sweep's folder; empty where it is none."""
    from graphc.sweep.folder import is_sweep

    if not is_sweep(path):
        return ""
    from graphc.report.sweep_page import report_sweep
    from graphc.sweep.study import place_of, read_study, storage_errors

    folder, facts, study = read_study(path)
    with storage_errors(place_of(folder, facts)):
        return report_sweep(folder, facts, study)


@click.command(name="list")
@format_option
def list_zoo(form: str) -> None:
    """List the zoo: input, parameters, MACs, receptive field.

    \b
      graphc list --format csv
    """
    collect_seldom()
    from graphc.report.listing import listing

    out(listing(form))


@click.command()
@click.option("-o", "--output", default="-", help="File to write; - is standard output.")
@click.option("--recipe", is_flag=True, help="Of training recipes instead.")
@click.option("--sweep", is_flag=True, help="Of sweeps instead.")
def schema(output: str, recipe: bool, sweep: bool) -> None:
    """Write the JSON Schema of spec files, for editors.

    \b
      graphc schema -o graphc.schema.json
      graphc schema --recipe -o recipe.schema.json
    """
    import json

    from graphc.files import atomic_write

    if recipe and sweep:
        raise click.UsageError("expected either --recipe or --sweep")
    if recipe:
        from graphc.train.recipe import recipe_schema as json_schema
    elif sweep:
        from graphc.sweep.settings import sweep_schema as json_schema
    else:
        from graphc.spec.schema import json_schema

    text = json.dumps(json_schema(), indent=1) + "\n"
    if output == "-":
        out(text)
    else:
        atomic_write(output, text.encode())
