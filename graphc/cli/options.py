"""Options that several commands take, and what commands do with them: plans, limits, lines on the terminal."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from graphc.errors import counted, said_once
from graphc.files import machine_error, printable
from graphc.system import is_broken_pipe

MEASURES = click.Choice(["params", "MACs", "memory", "time"], case_sensitive=False)
FORMATS = click.Choice(["table", "json", "csv", "md"])


def with_options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


set_option = click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a variable of the spec.")
until_option = click.option("--until", metavar="END_POINT", help="Stop at this end point or layer.")
seed_option = click.option("--seed", default=0, show_default=True, help="Seed of the initial weights.")
weights_option = click.option(
    "--weights", metavar="FILE", help="Variables by name: .safetensors, .npz, .ckpt, .pth, .h5, .onnx."
)
from_option = click.option(
    "--from", "given", metavar="SOURCE[:NET]", help="Whose weights they are, where names do not tell: timm:resnet50."
)
map_option = click.option("--map", "map_file", metavar="FILE", help="YAML or JSON: their names of modules, and ours.")
ema_option = click.option("--ema", is_flag=True, help="Take the moving averages that the file has of its variables.")
load_options = with_options(from_option, map_option, ema_option)
target_option = click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="RUNTIME",
    help="The form that works there, and warnings of what does not: webgpu, opencv, tract, … (docs/runtimes.md).",
)
limit_options = with_options(
    click.option("--max-layers", type=click.IntRange(1), help="Layers after expansion.  [default: 50,000]"),
    click.option("--max-memory", type=float, metavar="GIB", help="Variables, and any activation.  [default: 8]"),
)
spec_options = with_options(set_option, until_option, limit_options)
format_option = click.option("--format", "form", type=FORMATS, default="table", show_default=True)
threads_option = click.option(
    "--threads", type=click.IntRange(1), help="The results do not depend on it.  [default: the processors]"
)
worker_timeout_option = click.option(
    "--worker-timeout",
    type=click.FloatRange(0, min_open=True),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up a worker process that gives no answer for so long (inf: never).",
)
data_memory_option = click.option(
    "--max-memory", type=float, metavar="GIB", help="Of a data set in memory.  [default: 8]"
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print warnings and errors only.")
recipe_set_option = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the recipe."
)

engine_options = with_options(
    click.option(
        "--engine",
        type=click.Choice(["numpy", "onnxruntime"]),
        help="What computes the steps.  [default: numpy; of a run what it went with]",
    ),
    click.option(
        "--provider",
        metavar="NAME…",
        help="Where onnxruntime computes them, as of `run`.  [default: cpu; of a run where it was]",
    ),
)


provider_options = with_options(
    click.option(
        "--provider",
        default="cpu",
        show_default=True,
        metavar="NAME[:KEY=VALUE…][,…]",
        help="onnxruntime's, with options; the next ones take what it does not run: cuda:device_id=1,cpu.",
    ),
    click.option("--verbose", is_flag=True, help="Show what onnxruntime itself writes."),
)


scaling_options = with_options(
    click.option("--scale", type=float, help="Factor for image bytes.  [default: as the file says, else 1/255]"),
    click.option("--mean", metavar="R,G,B", help="Subtracted after scaling."),
    click.option("--std", metavar="R,G,B", help="Divided by, after the mean."),
)


def require_taken(taken: Collection[str], flag: str) -> None:
    """A UsageError where an option is given that is not among those which go with this one."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in taken and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} does not go with {flag}")


def name_of_recipe(recipe: str, otherwise: str) -> str:
    """What is made of a recipe is called as its file, or as the folder that a recipe.yaml lies in."""
    path = Path(recipe).absolute()
    return path.stem if path.stem != "recipe" else path.parent.name or otherwise


def serving(folder: str, reporter: Any) -> tuple[Any, Any]:
    """The dashboard of a run's folder, and the reporter that tells it how far the training is."""
    from graphc.report.dashboard import dashboard
    from graphc.report.watched import Watched

    watched = Watched(reporter)
    return dashboard(folder, say, watched=watched), watched


def train_options(max_memory: float | None, **options: Any) -> Any:
    """`options`: the fields of `Options`."""
    from graphc.train.commands import Options

    if options.get("provider") is not None and options.get("engine") != "onnxruntime":
        raise click.UsageError("--provider goes with --engine onnxruntime")
    return Options(max_memory=limits(None, max_memory).memory, **options)


def loading(options: dict[str, Any], weights: str | None, layout: Any = None) -> Any:
    """How the file of weights is read, as `load_options` say, which are taken out of the options; None without one."""
    source, rules, ema = options.pop("given", None), options.pop("map_file", None), options.pop("ema", False)
    if weights is None:
        if source or rules or ema:
            raise click.UsageError("--from, --map and --ema say how --weights FILE is read: name one")
        return None
    if source and rules:
        raise click.UsageError("expected either --from, whose names a spec knows, or --map with rules of your own")
    from graphc.conversion import read_rules
    from graphc.weights import LoadOptions

    return LoadOptions(source, read_rules(rules) if rules else (), ema, layout)


def limits(max_layers: int | None, max_memory: float | None) -> Any:
    from graphc.compiler import Limits

    default = Limits()
    if max_memory is not None and not 0 < max_memory < 2**20:
        raise click.BadParameter(f"expected GiB from 0 to 2**20, got {max_memory:g}", param_hint="--max-memory")
    memory = default.memory if max_memory is None else int(max_memory * 2**30)
    return Limits(max_layers or default.layers, memory)


def collect_seldom() -> None:
    """Look for cycles of objects seldom: plans have few, and looking took a twentieth of the time of `check`."""
    gc.set_threshold(100_000)


def make_plan(
    spec: str,
    settings: tuple[str, ...] = (),
    until: str | None = None,
    max_layers: int | None = None,
    max_memory: float | None = None,
) -> Any:
    collect_seldom()
    from graphc.compiler import plan_spec

    return plan_spec(spec, settings, until=until, limits=limits(max_layers, max_memory))


MOST_WARNINGS = 200
"""As many are shown."""


def warn(plan: Any, more: Sequence[Any] = ()) -> int:
    """Print the plan's warnings and lints, and more, each line of the spec once; how many there are."""
    from graphc.passes.lints import lints

    warnings = said_once([*plan.warnings, *lints(plan), *more])
    for warning in warnings[:MOST_WARNINGS]:
        say(warning)
    if len(warnings) > MOST_WARNINGS:
        say(f"  and {counted(len(warnings) - MOST_WARNINGS, 'more warning')}")
    return len(warnings)


def target_warnings(plan: Any, targets: Sequence[str]) -> Sequence[Any]:
    """What a plan meets in these runtimes."""
    if not targets:
        return ()
    from graphc.emit.targets import warnings_of

    return warnings_of(plan, targets)


def out(text: str) -> None:
    try:
        click.echo(text, nl=False)
    except OSError as error:
        if is_broken_pipe(error):
            raise
        raise machine_error("write", "standard output", error) from None


def say(text: str) -> None:
    with suppress(OSError):  # a terminal that was closed, a full disk: what was done is done
        click.echo(printable(text), err=True)
