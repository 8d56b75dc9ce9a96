"""`graphc web --train`: what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphc.cli.options import limits, name_of_recipe, require_taken, say
from graphc.files import keep_inputs, shown

TRAINING_ALONE = ("examples", "settings", "max_memory")
"""Options that go with --train alone."""
TAKEN = {"recipe", "output", "runtime", "providers", "title", *TRAINING_ALONE}
"""Options that go with it."""


def with_train_only(options: dict[str, Any]) -> None:
    """A UsageError where one of these options is given without --train."""
    for name, value in options.items():
        if value not in (None, ()):
            flag = "--set" if name == "settings" else f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{flag} goes with --train RECIPE")


def write_training(recipe: str, model: str | None, output: str | None, options: dict[str, Any]) -> None:
    """Write the page of a recipe into a folder."""
    from graphc.web.build import check_folder
    from graphc.web.runtime_package import read_runtime
    from graphc.web.training import make_training_page, write_training_site

    if model is not None:
        raise click.UsageError("--train takes the network that its recipe names: leave out NET.onnx")
    require_taken(TAKEN, "--train")
    folder = Path(output or f"{name_of_recipe(recipe, 'net')}-page")
    keep_inputs((folder / "index.html",), (recipe, options["runtime"]))
    check_folder(folder)
    runtime = read_runtime(options["runtime"], tuple(options["providers"].split(",")), Path.cwd())
    page = make_training_page(
        recipe,
        runtime,
        options["settings"],
        examples=options["examples"],
        title=options["title"],
        max_memory=limits(None, options["max_memory"]).memory,
    )
    write_training_site(page, folder)
    for sentence in page.said:
        say(sentence)
    size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    facts = page.facts
    stored = f"{facts['examples']:,} examples to learn from and {facts['tests']:,} held out"
    say(f"wrote {shown(folder)}: {size:,} bytes; with {stored}, {facts['batch']} a step")
    say(f"look at it: python -m http.server -d {shown(folder)}")
