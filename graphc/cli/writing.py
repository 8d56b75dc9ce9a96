"""Commands for editors."""

from __future__ import annotations

import sys

import click

from graphc.cli.options import out, say, set_option
from graphc.errors import SpecError, counted, missing_extra
from graphc.files import printable, read_limited, shown

EDITORS = click.Choice(["vscode", "vscodium", "cursor", "zed", "idea"])


@click.command()
def lsp() -> None:
    """Serve an editor on standard input and output: the language server protocol (extra: lsp).

    Editors start it themselves: docs/editors.md says how.

    \b
      graphc lsp
    """
    try:
        import lsprotocol
        import pygls
    except ImportError:
        raise missing_extra("pygls", "lsp") from None
    del lsprotocol, pygls
    from graphc.lsp.server import make_server

    make_server().start_io()


@click.command("format")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit code 2 where a file would change.")
def format_command(files: tuple[str, ...], only_check: bool) -> None:
    """Lay out specs and recipes: two spaces a level, one in brackets. Comments, quotes and line breaks stay.

    A FILE that is - is read from standard input and written to standard output.

    \b
      graphc format net.yaml
      graphc format --check specs/*.yaml
    """
    changed = [path for path in files if _laid_out(path, only_check)]
    if only_check and changed:
        raise SpecError("G192", f"{counted(len(changed), 'file')} not laid out: graphc format {' '.join(changed)}")


def _laid_out(path: str, only_check: bool) -> bool:
    """Lay out a file; whether it was not."""
    from graphc.files import atomic_write
    from graphc.spec.layout import laid_out
    from graphc.spec.source import LIMITS

    if path == "-":
        out(laid_out(sys.stdin.buffer.read(LIMITS.file_bytes + 1), path))
        return False
    if path.endswith(".json"):
        raise SpecError("G192", f"{shown(path)}: expected YAML, for JSON there are other formatters")
    data = read_limited(path, LIMITS.file_bytes)
    made = laid_out(data, shown(path)).encode()
    if made == data:
        return False
    if not only_check:
        atomic_write(path, made)
    say(f"{shown(path)}: {'would be' if only_check else ''} laid out".replace("  ", " "))
    return True


@click.command()
@click.argument("spec")
@set_option
@click.option("--check", "only_check", is_flag=True, help="Errors and warnings only, without the table.")
@click.option("--depth", type=click.IntRange(1), help="Fold groups below this depth into one row.")
def watch(spec: str, settings: tuple[str, ...], only_check: bool, depth: int | None) -> None:
    """Show a spec again whenever it, or a file that it includes, is saved. Ctrl-C ends.

    \b
      graphc watch net.yaml
      graphc watch net.yaml --check
    """
    from graphc.report.live import Watched
    from graphc.report.live import watch as begin
    from graphc.report.show import show

    clear = "\x1b[2J\x1b[H" if sys.stdout.isatty() else ""

    def print_again(watched: Watched) -> None:
        said = watched.said()
        table = show(watched.plan, "table", depth=depth) if watched.plan is not None and not only_check else ""
        fine = "" if said or table else f"{shown(spec)}: no errors\n"
        out(f"{clear}{table}{printable(said)}{chr(10) if said else ''}{fine}")
        sys.stdout.flush()

    begin(Watched(spec, settings), print_again)


@click.command()
@click.argument("spec")
@set_option
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of this machine.  [default: a free one]")
@click.option(
    "--editor",
    default="vscode",
    show_default=True,
    type=click.Choice(["vscode", "vscodium", "cursor", "zed", "idea"]),
    help="What a click opens a line in.",
)
def serve(spec: str, settings: tuple[str, ...], port: int, editor: str) -> None:
    """Show a spec's picture and table in a browser, anew at each save; a click goes to the line. Ctrl-C ends.

    Only this machine can reach the page.

    \b
      graphc serve net.yaml
      graphc serve net.yaml --port 8000 --editor zed
    """
    import time

    from graphc.report.live import Watched, live_spec

    with live_spec(Watched(spec, settings), editor, port) as address:
        say(f"{shown(spec)}: {address}")
        while True:
            time.sleep(3600)
