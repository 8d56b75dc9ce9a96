"""Reports of real, small runs: curves, confusion, mistakes, and the live page."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from graphc.cli import cli
from graphc.errors import WeightsError
from graphc.report.dashboard import CLIENTS, dashboard
from graphc.report.page.runs import curves, read_log, read_run, run_facts
from graphc.report.watched import Watched
from graphc.train.commands import train
from graphc.train.progress import Silent
from graphc.train.run_folder import RunFolder
from tests.report.browser import FOUND, browser
from tests.report.test_page import data_of
from tests.train.conftest import write_tiny_project


@pytest.fixture(scope="module", name="project")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, its data, and two runs of it."""
    folder = write_tiny_project(tmp_path_factory.mktemp("project"))
    train(folder / "recipe.yaml", folder / "one")
    train(folder / "recipe.yaml", folder / "two", ["epochs=2", "log_steps=3"])
    return folder


def test_what_is_counted_is_what_the_log_says(project: Path) -> None:
    run = read_run(str(project / "one"))
    found = run_facts(run, run.judged())
    matrix = np.array(found["confusion"])
    accuracy = run.folder.records()
    best = max(record["validation_accuracy"] for record in accuracy)
    assert matrix.sum() == 40
    assert np.trace(matrix) / 40 == pytest.approx(best)
    assert len(found["mistakes"]) == 40 - np.trace(matrix)
    assert len(found["curves"]["validation_accuracy"]) == 4


def test_mistakes_are_worst_first(project: Path) -> None:
    run = read_run(str(project / "two"))
    chances = [each["words"].rpartition("(")[2].rstrip("%)") for each in run_facts(run, run.judged())["mistakes"]]
    assert all("taken for" in each["words"] for each in run_facts(run, run.judged())["mistakes"])
    assert len(chances) > 0


def test_single_steps_stand_for_their_epoch() -> None:
    records: list[dict[str, Any]] = [
        {"step": 5, "loss": 2.0, "learning_rate": 0.1},
        {"step": 10, "loss": 1.0, "learning_rate": 0.1},
        {"epoch": 1, "step": 10, "loss": 1.5, "learning_rate": 0.1, "accuracy": 0.5, "validation_loss": float("nan")},
    ]
    assert curves(records) == {
        "loss": [[5, 2.0], [10, 1.0]],
        "learning_rate": [[5, 0.1], [10, 0.1]],
        "accuracy": [[10, 0.5]],
    }


def test_runs_from_the_command_line(project: Path) -> None:
    target = project / "runs.html"
    result = CliRunner().invoke(cli, ["report", str(project / "one"), str(project / "two"), "-o", str(target)])
    assert result.exit_code == 0, result.output
    data = data_of(target.read_text(encoding="utf-8"))
    assert [run["name"] for run in data["runs"]] == ["one", "two"]
    assert data["activity"]["filters"][0]["words"].startswith("conv1: 4 of 4")
    assert data["image"].startswith("data:image/png")


def test_without_its_data_a_run_has_its_curves(project: Path) -> None:
    (project / "test.npz").rename(project / "elsewhere.npz")
    try:
        result = CliRunner().invoke(cli, ["report", str(project / "one"), "-o", str(project / "bare.html")])
    finally:
        (project / "elsewhere.npz").rename(project / "test.npz")
    assert result.exit_code == 0, result.output
    assert "without confusion" in result.output
    assert data_of((project / "bare.html").read_text(encoding="utf-8"))["runs"][0]["confusion"] is None


def test_a_spec_with_weights_and_an_image(project: Path) -> None:
    Image.fromarray(np.arange(36, dtype=np.uint8).reshape(6, 6)).save(project / "six.png")
    target = project / "spec.html"
    arguments = ["--weights", str(project / "one" / "best.safetensors"), "--image", str(project / "six.png")]
    result = CliRunner().invoke(cli, ["report", str(project / "tiny.yaml"), *arguments, "-o", str(target)])
    assert result.exit_code == 0, result.output
    assert data_of(target.read_text(encoding="utf-8"))["activity"]["health"]


def test_specs_and_runs_are_not_mixed(project: Path) -> None:
    result = CliRunner().invoke(cli, ["report", "lenet5", str(project / "one")])
    assert result.exit_code == 2
    assert "expected one SPEC, or folders of runs" in result.output


def copied(project: Path, target: Path) -> Path:
    shutil.copytree(project / "one", target)
    return target


def test_a_line_that_was_not_finished_does_not_count(project: Path, tmp_path: Path) -> None:
    run = copied(project, tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as log:
        log.write('{"epoch": 5, "st')
    assert len(curves(read_log(RunFolder(run)))["loss"]) == 4


@pytest.mark.parametrize("line", ["{", "[]", "7", '{"loss": 1}', '{"step": "x"}'])
def test_a_line_that_is_no_record_is_an_error(line: str, project: Path, tmp_path: Path) -> None:
    run = copied(project, tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as log:
        log.write(line + "\n")
    result = CliRunner().invoke(cli, ["report", str(run), "-o", str(tmp_path / "page.html")])
    assert isinstance(result.exception, WeightsError)
    assert "metrics.jsonl:5:1: error[G324]: expected a record" in str(result.exception)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    "facts", ["{}", '{"spec": 1, "base": "", "classes": []}', '{"spec": "", "base": "", "classes": 1}']
)
def test_facts_that_are_not_ours_are_an_error(facts: str, project: Path, tmp_path: Path) -> None:
    run = copied(project, tmp_path / "run")
    (run / "run.json").write_text(facts)
    with pytest.raises(WeightsError, match=r"expected (spec|classes|spec, base, classes) in it"):
        read_run(str(run))


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert "no run.json" in str(result.exception)


def test_a_run_has_its_own_weights(project: Path) -> None:
    result = CliRunner().invoke(cli, ["report", str(project / "one"), "--weights", "other.npz"])
    assert result.exit_code == 2
    assert "--weights and --image are for a SPEC" in result.output


# live ------------------------------------------------------------------------------------------------------


@pytest.fixture(name="address")
def serve(project: Path) -> Iterator[str]:
    with dashboard(project / "one", lambda words: None) as address:
        yield address


def fetch(address: str, host: str | None = None) -> str:
    request = urllib.request.Request(address, headers={} if host is None else {"Host": host})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return str(answer.read().decode())


def test_the_dashboard_serves_page_and_curves(address: str) -> None:
    assert data_of(fetch(address))["live"] > 0
    assert len(json.loads(fetch(f"{address}runs.json"))[0]["curves"]["loss"]) == 4
    assert address.startswith("http://127.0.0.1:")


def test_the_dashboard_answers_nobody_else(address: str) -> None:
    for wrong, host, code in ((address, "example.com:80", 403), (f"{address}../run.json", None, 404)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(wrong, host)
        assert caught.value.code == code
        caught.value.close()


def test_before_the_run_there_is_a_word(tmp_path: Path) -> None:
    with dashboard(tmp_path / "later", lambda words: None) as address:
        assert "not begun" in fetch(address)
        assert json.loads(fetch(f"{address}runs.json"))[0]["curves"] == {}


def test_clients_that_say_nothing_or_go_away_disturb_nobody(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    port = int(address.rstrip("/").rpartition(":")[2])
    before = threading.active_count()
    silent = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(300)]
    assert urllib.request.urlopen(address, timeout=10).status == 200
    assert threading.active_count() - before <= CLIENTS + 2
    for client in silent:
        client.close()
    for request in (b"GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", b"GET /runs.json HT"):
        for _ in range(5):
            client = socket.create_connection(("127.0.0.1", port), timeout=5)
            client.sendall(request)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # gone, not closed
            client.close()
    assert urllib.request.urlopen(f"{address}runs.json", timeout=10).status == 200
    assert capsys.readouterr().err == ""


def test_training_with_a_dashboard(project: Path) -> None:
    arguments = ["train", str(project / "recipe.yaml"), "-o", str(project / "three"), "--set", "epochs=1", "-q"]
    result = CliRunner().invoke(cli, [*arguments, "--dashboard"])
    assert result.exit_code == 0, result.output
    assert "dashboard: http://127.0.0.1:" in result.output


@pytest.mark.skipif(FOUND is None, reason="no Chromium: apt-get install chromium")
def test_the_live_page_follows_the_log(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("run.json", "recipe.json", "metrics.jsonl"):
        (folder / name).write_bytes((project / "one" / name).read_bytes())
    (folder / "spec").mkdir()
    (folder / "spec" / "tiny.yaml").write_bytes((project / "one" / "spec" / "tiny.yaml").read_bytes())
    points = "document.querySelectorAll('#curves .chart[aria-label=accuracy] circle').length"
    with dashboard(folder, lambda words: None) as address, browser(tmp_path / "profile", offline=False) as view:
        view.command("Page.navigate", url=address)
        view.wait(f"{points} === 8")
        with (folder / "metrics.jsonl").open("a") as log:
            log.write(json.dumps({"epoch": 5, "step": 35, "learning_rate": 0.01, "accuracy": 0.5}) + "\n")
        view.wait(f"{points} === 9")


def test_the_first_epoch_is_seen_before_its_line_is_there(project: Path, tmp_path: Path) -> None:
    watched = Watched(Silent())
    with dashboard(tmp_path / "later", lambda words: None, watched=watched) as address:
        assert json.loads(fetch(f"{address}runs.json"))[0]["progress"] is None
        watched.begin(0, 40)
        for step in range(1, 11):
            watched.stepped(step, 1, 2.0, 8)
        progress = json.loads(fetch(f"{address}runs.json"))[0]["progress"]
        assert progress == {"step": 10, "steps": 40, "epoch": 1, "loss": 2.0, "left": progress["left"]}
        assert progress["left"] >= 0
        watched.stepped(11, 1, float("nan"), 8)
        assert json.loads(fetch(f"{address}runs.json"))[0]["progress"]["loss"] is None
