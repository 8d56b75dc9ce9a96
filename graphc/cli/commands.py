"""All commands, in the order in which one meets them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

import click

from graphc import __version__
from graphc.cli.completion import complete_texts

HOMES = {
    "new": ("specs", "new"),
    "check": ("specs", "check"),
    "show": ("specs", "show"),
    "explain": ("specs", "explain"),
    "diff": ("specs", "diff"),
    "compare": ("specs", "compare"),
    "draw": ("specs", "draw"),
    "report": ("specs", "report"),
    "list": ("specs", "list_zoo"),
    "schema": ("specs", "schema"),
    "compile": ("models", "compile_command"),
    "verify": ("models", "verify"),
    "run": ("models", "run"),
    "bench": ("deployment", "bench"),
    "web": ("deployment", "web"),
    "snippet": ("deployment", "snippet"),
    "import": ("importing", "import_command"),
    "train": ("training", "train"),
    "resume": ("training", "resume"),
    "eval": ("training", "eval_command"),
    "predict": ("training", "predict"),
    "sweep": ("sweeping", "sweep"),
    "weights": ("weights", "weights"),
    "data": ("data", "data"),
    "watch": ("writing", "watch"),
    "serve": ("writing", "serve"),
    "format": ("writing", "format_command"),
    "lsp": ("writing", "lsp"),
}
"""Command -> its file in this package, which is imported when it is asked for, and its function there."""


class Commands(Mapping[str, click.Command]):
    """All commands by name."""

    def __getitem__(self, name: str) -> click.Command:
        return _loaded(*HOMES[name])

    def __iter__(self) -> Iterator[str]:
        return iter(HOMES)

    def __len__(self) -> int:
        return len(HOMES)


@cache
def _loaded(module: str, function: str) -> click.Command:
    command: click.Command = getattr(import_module(f"{__package__}.{module}"), function)
    complete_texts(command)
    return command


class InOrder(click.Group):
    """A group that lists its commands as they are given, not in the alphabet's order."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=InOrder, commands=Commands(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="graphc")
def cli() -> None:
    """Write a convolutional network as YAML, get a checked ONNX file.

    SPEC is a path, or the name of a model of the zoo (graphc list).

    \b
      graphc new net.yaml && graphc show net.yaml
      graphc compile vgg_16 --set classes=10 -o vgg.onnx
    """
    if "GRAPHC_CONV_ALGORITHM" in os.environ:
        from graphc.kernels.conv import forced_algorithm

        forced_algorithm()  # what it names is there, before anything is computed or written
