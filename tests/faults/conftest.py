"""A server for all tests here, and scenarios on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.calls import build_shim
from tests.faults.cases import Stage
from tests.faults.scenarios import SCENARIOS
from tests.faults.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(build_shim(tmp_path_factory.mktemp("shim"))) as started:
        yield started


@pytest.fixture
def stage_of(server: Server, tmp_path: Path) -> Callable[[str], Stage]:
    """`stage_of(name)`: a scenario in a folder."""

    def make(name: str) -> Stage:
        scenario = next(scenario for scenario in SCENARIOS if scenario.name == name)
        pytest.importorskip(scenario.module)
        return Stage(server, scenario, tmp_path / "stage")

    return make
