"""Commands that train, and that use what was trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from graphc.cli.options import (
    data_memory_option,
    engine_options,
    limits,
    load_options,
    loading,
    name_of_recipe,
    out,
    quiet_option,
    say,
    serving,
    set_option,
    threads_option,
    train_options,
    weights_option,
    worker_timeout_option,
)
from graphc.cli.ranks import describe, ranks
from graphc.files import shown


@click.command()
@click.argument("recipe")
@click.option("-o", "--output", metavar="FOLDER", help="The run's folder.  [default: runs/NAME-of-the-recipe]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the recipe.")
@threads_option
@worker_timeout_option
@data_memory_option
@quiet_option
@engine_options
@click.option("--dashboard", is_flag=True, help="Serve a live page of the run, on this machine alone.")
def train(
    recipe: str, output: str | None, settings: tuple[str, ...], quiet: bool, dashboard: bool, **options: Any
) -> None:
    """Train a recipe; the run's folder keeps log, checkpoints and the best weights as ONNX.

    \b
      graphc train examples/digits/recipe.yaml -o runs/digits
      graphc train recipe.yaml --set epochs=5 --set optimizer=adamw
      graphc train recipe.yaml --engine onnxruntime --provider cuda
    """
    from graphc.train.commands import train as run_training

    folder = output or str(Path("runs") / name_of_recipe(recipe, "run"))
    with ranks() as world:
        reporter = reporter_of(world, quiet)
        page, reporter = serving(folder, reporter) if dashboard and world.rank == 0 else (nullcontext(), reporter)
        with page:
            run_training(recipe, folder, settings, reporter, train_options(**options, world=world))
        say(f"wrote {shown(folder)}")


@click.command()
@click.argument("run_folder", metavar="RUN")
@click.option("--epochs", type=click.IntRange(1), help="So many epochs in all, in place of the recipe's.")
@click.option("--data", metavar="FOLDER", help="Where the recipe's paths start now, if the data have moved.")
@click.option("--exact", is_flag=True, help="Refuse where the last bits could differ (other NumPy, other processor).")
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Go on although recipe, spec, data or graphc are not those that the run began with; the log says so.",
)
@threads_option
@worker_timeout_option
@data_memory_option
@quiet_option
@engine_options
def resume(run_folder: str, quiet: bool, epochs: int | None, data: str | None, **options: Any) -> None:
    """Go on with a run that was stopped: it ends with the same bytes as one that was not.

    \b
      graphc resume runs/digits
      graphc resume runs/digits --epochs 30 --data /mnt/digits
    """
    from graphc.train.commands import resume as resume_training

    with ranks() as world:
        given = train_options(**options, world=world)
        resume_training(run_folder, reporter_of(world, quiet), given, epochs=epochs, data=data)
        say(f"wrote {shown(run_folder)}")


def reporter_of(world: Any, quiet: bool) -> Any:
    """What people see of a training: the first rank's."""
    from graphc.train.progress import Silent, reporter

    if not quiet:
        describe(world)
    return Silent() if world.rank else reporter(quiet)


@click.command(name="eval")
@click.argument("run_folder", metavar="RUN")
@click.option("--data", metavar="RECIPE", help="Take the test set of another recipe.")
@weights_option
@load_options
@threads_option
@worker_timeout_option
@data_memory_option
def eval_command(run_folder: str, data: str | None, weights: str | None, **options: Any) -> None:
    """Loss and metrics of a run's best weights on its test set (else its validation set), as JSON.

    \b
      graphc eval runs/digits
    """
    load = loading(options, weights)
    from graphc.train.commands import evaluate_run
    from graphc.valid_json import dumps

    with ranks() as world:
        found = evaluate_run(run_folder, data, weights, train_options(**options, world=world), load)
        out(dumps(found, indent=1) + "\n")


@click.command()
@click.argument("run_folder", metavar="RUN|SPEC")
@click.argument("files", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="Classes to print.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help=".csv, .json or .jsonl; a folder: masks, or images with boxes, as PNGs.  [default: JSON lines]",
)
@click.option(
    "--bad-files",
    type=click.Choice(["error", "skip"]),
    help="What happens to a file that cannot be read.  [default: as in the recipe]",
)
@weights_option
@load_options
@set_option
@threads_option
@data_memory_option
def predict(run_folder: str, files: tuple[str, ...], top: int, output: str | None, **options: Any) -> None:
    """Classify images (of folders: all below them), or the rows of .npz files, with a run's best weights; or images
    with a spec and --weights, as they were prepared for these.

    \b
      graphc predict runs/digits digit.png --top 3
      graphc predict runs/net photos -o photos.csv --bad-files skip
      graphc predict runs/segmentation photos -o masks
      graphc predict runs/detection photos -o drawn
      graphc predict resnet50 photo.jpg --weights resnet50-11ad3fa6.pth --top 5
    """
    from graphc.files import keep_inputs
    from graphc.train import answers
    from graphc.valid_json import dumps

    keep_inputs((output,), (options["weights"], options["map_file"], *files))
    if output is not None:
        answers.check_output(output)
    with ranks() as world, known_to_all(run_folder, world, options) as known:
        if output is not None and answers.is_folder(output) and world.rank == 0:
            if options["weights"] is not None and not Path(run_folder).is_dir():
                raise click.UsageError("masks in a folder are of a RUN: -o with .csv, .json or .jsonl for a SPEC")
            from graphc.train.predict import predict_folder

            say(f"wrote {predict_folder(known, files, output, **of_run(options))}")
            return
        found = predictions(known, files, top, options)
        if output is not None and world.rank == 0:
            say(f"wrote {answers.write_answers(found, output)}")
            return
        for answer in found:
            out(dumps(answer) + "\n")


@contextmanager
def known_to_all(run_or_spec: str, world: Any, options: dict[str, Any]) -> Iterator[str]:
    """The path of a run's folder in each rank, which alone the first one has."""
    if world.size == 1:
        yield run_or_spec
        return
    from graphc.train.ranks import existing_run

    options["world"] = world
    with existing_run(run_or_spec, world, with_best=options["weights"] is None) as folder:
        yield str(folder.path)


def predictions(run_or_spec: str, files: tuple[str, ...], top: int, options: dict[str, Any]) -> Any:
    """The answers of a run, or of a spec with the weights that are given."""
    from graphc.spec.zoo import zoo_names

    if options["weights"] is None and (run_or_spec in zoo_names() or Path(run_or_spec).is_file()):
        raise click.UsageError("a SPEC predicts with --weights FILE; a RUN is a folder that graphc train has written")
    if options["weights"] is None or Path(run_or_spec).is_dir():
        from graphc.train.predict import predict as predict_by_run

        return predict_by_run(run_or_spec, files, top, **of_run(options))
    from graphc.classify import classify

    path = options["weights"]
    return classify(
        run_or_spec,
        options["settings"],
        files,
        path,
        loading(options, path),
        top=top,
        threads=options["threads"],
        skips=options["bad_files"] == "skip",
        limits=limits(None, options["max_memory"]),
        say=say,
    )


def of_run(options: dict[str, Any]) -> dict[str, Any]:
    """The options for what a run predicts."""
    if options.pop("settings"):
        raise click.UsageError("--set is for a SPEC with --weights: a run has its own settings")
    weights, bad_files = options.pop("weights"), options.pop("bad_files")
    load = loading(options, weights)
    common = {"weights_path": weights, "bad_files": bad_files, "load": load, "say": say}
    return {**common, "options": train_options(**options)}
