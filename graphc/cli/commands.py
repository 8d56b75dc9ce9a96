"""All commands, in the order in which one meets them."""

from __future__ import annotations

import os

import click

from graphc import __version__
from graphc.cli.completion import complete_texts
from graphc.cli.data import data
from graphc.cli.deployment import bench, snippet, web
from graphc.cli.importing import import_command
from graphc.cli.models import compile_command, run, verify
from graphc.cli.specs import check, compare, diff, draw, explain, list_zoo, new, report, schema, show
from graphc.cli.sweeping import sweep
from graphc.cli.training import eval_command, predict, resume, train
from graphc.cli.weights import weights
from graphc.cli.writing import format_command, lsp, serve, watch

COMMANDS: tuple[click.Command, ...] = (
    *(new, check, show, explain, diff, compare, draw, report, list_zoo, schema),
    *(compile_command, verify, run, bench, web, snippet, import_command),
    *(train, resume, eval_command, predict),
    sweep,
    weights,
    data,
    *(watch, serve, format_command, lsp),
)


class InOrder(click.Group):
    """A group that lists its commands as they were added, not in the alphabet's order."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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


for command in COMMANDS:
    cli.add_command(command)
complete_texts(cli)
