"""Arguments and options that a shell completes."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


class Completed(click.types.StringParamType):
    """A text that a shell completes."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from graphc.completion import complete

        names = [each.name or "" for each in ctx.command.params if isinstance(each, click.Argument)]
        given = {**ctx.params, **dict(zip(names, ctx.args, strict=False))}  # args: where an option lacks its value yet
        found = complete(param.name or "", incomplete, given)
        return [CompletionItem(incomplete, type="file")] if found is None else list(map(CompletionItem, found))


def complete_texts(command: click.Command) -> None:
    """Let a shell complete the texts of a command, or of a group's commands."""
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        complete_texts(each)
    for parameter in command.params:
        if isinstance(parameter.type, click.types.StringParamType):
            parameter.type = Completed()
