"""Golden files: what a test made is compared with a file beside it; `--update-golden` writes the file anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write golden files anew; look at the difference.")
    parser.addoption("--runtimes", action="store_true", help="Run the models in every runtime that is installed.")


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
    config.addinivalue_line("markers", "runtimes: every runtime that is installed; run by --runtimes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--runtimes"):
        for item in items:
            if item.get_closest_marker("runtimes"):
                item.add_marker(pytest.mark.skip(reason="other runtimes are a group of their own: --runtimes"))
