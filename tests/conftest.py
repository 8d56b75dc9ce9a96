"""Golden files: what a test made is compared with a file beside it; `--update-golden` writes the file anew."""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SLOW = (
    "test_backslashes.py", "test_bad_specs.py", "test_console.py", "test_control_characters.py", "test_examples.py",
    "test_plain_files.py", "test_random_specs.py", "test_run.py", "test_system.py", "test_verify.py",
    "data/test_feeder.py", "data/test_lists.py", "data/test_masks.py", "faults/", "kernels/conv/test_blockwise.py",
    "parallel/test_pool.py", "parallel/test_processes.py", "passes/test_limits.py", "report/test_draw.py",
    "report/test_page.py", "report/test_runs.py", "report/test_show.py", "train/", "weights/test_load.py", "zoo/",
)  # fmt: skip
"""Files and folders whose tests are marked `slow`; `-m "not slow"` leaves them out and takes less than a minute."""
QUICK = (
    "train/test_losses.py", "train/test_optimizers.py", "train/test_param_groups.py", "train/test_progress.py",
    "train/test_recipe.py", "train/test_schedules.py", "zoo/test_specs.py",
)  # fmt: skip
"""Those of them that are quick."""


os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""Tests start hundreds of processes: each would compile the package anew."""

GROUPS = {
    "exhaustive": "the other nets and cases of a kind are a group of their own: .ci/exhaustive, --exhaustive",
    "runtimes": "other runtimes are a group of their own: .ci/runtimes, --runtimes",
}
"""Markers of what the suite leaves out, and why; an option of the same name takes it in."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write golden files anew; look at the difference.")
    parser.addoption("--without-posix", action="store_true", help="Take away what Windows and macOS lack.")
    parser.addoption("--runtimes", action="store_true", help="Run the models in every runtime that is installed.")
    parser.addoption("--exhaustive", action="store_true", help="Run every net at its size, and every random case.")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)`: the text equals the file golden/NAME beside the test."""

    def check(name: str, text: str) -> None:
        path = Path(request.path).parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path.name} is not there: run pytest --update-golden"
        assert text == path.read_text(encoding="utf-8")

    return check


def pytest_configure(config: pytest.Config) -> None:
    heed_signals()
    if config.getoption("--without-posix"):
        take_away_posix()
    for group, reason in GROUPS.items():
        config.addinivalue_line("markers", f"{group}: {reason}")
    config.addinivalue_line("markers", "slow: what takes long, by file: see SLOW in tests/conftest.py")
    config.addinivalue_line("markers", "posix: about forks, pipes with names, permissions or signals of POSIX")


def heed_signals() -> None:
    """What `nohup` and jobs in the background ignore comes again, here and in the processes that tests start."""
    for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


def take_away_posix() -> None:
    """From this process and from those that tests start."""
    folder = Path(__file__).parent / "without_posix"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    runpy.run_path(str(folder / "sitecustomize.py"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = {group: reason for group, reason in GROUPS.items() if not config.getoption(f"--{group}")}
    if not hasattr(os, "fork") or sys.platform == "darwin":
        left_out["posix"] = "about what this system lacks"
    for item in items:
        file = item.path.relative_to(Path(__file__).parent).as_posix()
        if file.startswith(SLOW) and file not in QUICK:
            item.add_marker(pytest.mark.slow)
        for marker, reason in left_out.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if hasattr(config.option, "loadscopereorder"):  # xdist's: files of many tests first, however quick they are
        config.option.loadscopereorder = False
