"""The first that the command loads: from here on Ctrl-C ends it without a traceback, while all else is loaded."""

# What `signal` loads besides takes a hundredth of a second, in which Ctrl-C would be a traceback.
import _signal  # type: ignore[import-not-found]


def main() -> None:
    """Run a command; what is loaded for it has an answer of its own to Ctrl-C later."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from graphc.cli import main as run  # noqa: PLC0415

    run()
