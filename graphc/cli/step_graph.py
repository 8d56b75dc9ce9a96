"""`graphc compile --training`: options, and what they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphc.cli.options import limits, name_of_recipe, require_taken, say, with_options
from graphc.files import keep_inputs, shown

STEP_TARGETS = ("cpu", "cuda", "webgpu")
"""Where a training step may run, the default first."""
TAKEN = {"output", "training", "unroll", "targets", "batch", "settings", "max_memory"}
"""What goes with --training; --set then overrides keys of the recipe."""
training_options = with_options(
    click.option(
        "--training", metavar="RECIPE", help="Write this recipe's training step, and the state it begins with."
    ),
    click.option("--unroll", type=click.IntRange(1), help="With --training: so many steps in a row.  [default: 1]"),
)


def compile_step(spec: str | None, output: str | None, options: dict[str, Any]) -> None:
    """Write the training step of `options["training"]`."""
    from graphc.train.step_file import compile_training, state_path

    recipe = options["training"]
    if spec is not None:
        raise click.UsageError("--training takes the spec that its recipe names: leave out SPEC")
    require_taken(TAKEN, "--training")
    target = output or f"{name_of_recipe(recipe, 'net')}.train.onnx"
    if target == "-":
        raise click.BadParameter("an ONNX file is not printed; name a file", param_hint="--output")
    keep_inputs((target, state_path(target)), (recipe,))
    target_of_step = _one_of(options["targets"])
    memory = limits(None, options["max_memory"]).memory
    found = compile_training(
        recipe,
        target,
        options["settings"],
        batch=options["batch"],
        target=target_of_step,
        unroll=options["unroll"] or 1,
        max_memory=memory,
    )
    for sentence in found.said:
        say(sentence)
    say(f"wrote {shown(target)}: {found.nodes:,} nodes, {Path(target).stat().st_size:,} bytes")
    say(f"wrote {shown(found.state)}: {found.arrays:,} arrays, {found.state.stat().st_size:,} bytes")


def _one_of(targets: tuple[str, ...]) -> Any:
    """Where a training step is to run, of what --target says."""
    if len(targets) > 1 or not set(targets) <= set(STEP_TARGETS):
        raise click.BadParameter(f"with --training one of {', '.join(STEP_TARGETS)}", param_hint="--target")
    return targets[0] if targets else STEP_TARGETS[0]
