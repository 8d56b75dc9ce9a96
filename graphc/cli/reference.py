"""The reference of the commands, as a page of Markdown: what `--help` says of each."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from graphc.cli.commands import cli

HEAD = "# Reference: commands"


def commands_page(made: str) -> str:
    """Every command with its options, those within a group below it."""
    return "\n".join(
        [f"{HEAD}\n\n{made} `graphc COMMAND --help` shows one in a terminal.\n", *_commands(cli, "graphc")]
    )


def _commands(group: click.Group, above: str) -> Iterator[str]:
    for name, command in group.commands.items():
        full = f"{above} {name}"
        yield _command(command, full)
        if isinstance(command, click.Group):
            yield from _commands(command, full)


def _command(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [f"## {name}", f"`{usage}`", *_help(inspect.cleandoc(command.help or ""))]
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    rows = [record for each in options if (record := each.get_help_record(context)) is not None]
    if rows:
        cells = [f"| `{_cell(names)}` | {_text(meaning)} |" for names, meaning in rows]
        parts.append("\n".join(["| option | what it does |", "|---|---|", *cells]))
    return "\n\n".join(parts) + "\n"


def _help(text: str) -> Iterator[str]:
    """Paragraphs as they are, examples (behind `\\b`) as blocks."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            lines = paragraph.removeprefix("\b").strip("\n").split("\n")
            yield "\n".join(["```text", *(line.removeprefix("  ") for line in lines), "```"])
        else:
            yield _text(paragraph.replace("\n", " "))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _text(text: str) -> str:
    """Plain words as Markdown: what is no markup stays what it is."""
    for sign in "\\*<|[_":
        text = text.replace(sign, f"\\{sign}" if sign != "<" else "&lt;")
    return " ".join(text.split())
