"""Sweeps of a small recipe: what is tried, who works on it, how it ends, and what is said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphc.cli import cli
from graphc.errors import MachineError, SpecError, WeightsError
from graphc.train.run_folder import RunFolder
from graphc.train.trained import DEFAULT
from tests.train.conftest import SPEC, write_tiny_project

optuna = pytest.importorskip("optuna", reason="needs optuna, the extra sweep")

from graphc.report.sweep_table import rows_of, show_sweep  # noqa: E402
from graphc.sweep import study as studies  # noqa: E402
from graphc.sweep.study import read_study  # noqa: E402
from graphc.sweep.worker import SweepWorker, begin_sweep  # noqa: E402

SWEEP = """\
sweep: 1
recipe: recipe.yaml
sampler: grid
variables: {filters: [2, 4]}
settings: {learning_rate: [0.0001, 0.02], epochs: [1]}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    spec = SPEC.replace("name: tiny\n", "name: tiny\nvars: {filters: 4}\n")
    spec = spec.replace("conv1, filters: 4}", 'conv1, filters: "${filters}"}')
    assert "${filters}" in spec
    return write_tiny_project(tmp_path, 64, 32, spec=spec)


def swept(project: Path, text: str = SWEEP, name: str = "swept", storage: str | None = None) -> Path:
    (project / "sweep.yaml").write_text(text)
    begin_sweep(project / "sweep.yaml", project / name, storage)
    return project / name


def work(folder: Path) -> list[str]:
    said: list[str] = []
    SweepWorker(folder, said.append, DEFAULT).work()
    return said


def table(folder: Path) -> list[dict]:
    _, facts, study = read_study(str(folder))
    return json.loads(show_sweep(facts, study, "json"))


def test_a_grid_is_trained_and_shown(project: Path) -> None:
    folder = swept(project)
    said = work(folder)
    assert len(said) == 4
    rows = table(folder)
    assert {(row["filters"], row["learning_rate"]) for row in rows} == {(2, 1e-4), (2, 0.02), (4, 1e-4), (4, 0.02)}
    assert {row["state"] for row in rows} == {"complete"}
    for row in rows:
        run = RunFolder(folder / "trials" / row["trial"])
        best = max(record["validation_accuracy"] for record in run.records())
        assert row["validation_accuracy"] == best
        assert run.onnx.is_file()
        assert json.loads(run.recipe.read_text())["model"]["set"] == {"filters": row["filters"]}
    assert rows[0]["best"] == "*"
    assert rows[0]["validation_accuracy"] == max(row["validation_accuracy"] for row in rows)
    assert rows[0]["learning_rate"] == 0.02


def test_budgets_refuse_and_several_objectives_have_a_front(project: Path) -> None:
    text = SWEEP.replace("[2, 4]", "[2, 3, 64]") + "objectives: {validation_accuracy: maximize, params: minimize}\n"
    folder = swept(project, text + "constraints: {macs: <= 9e3}\n")
    work(folder)
    rows = table(folder)
    assert {row["state"] for row in rows if row["filters"] == 64} == {"refused"}
    assert {row["state"] for row in rows if row["filters"] != 64} == {"complete"}
    done = [(row["validation_accuracy"], -row["params"], row["best"]) for row in rows if row["state"] == "complete"]
    for one in done:
        beaten = any(a[0] >= one[0] and a[1] >= one[1] and a[:2] != one[:2] for a in done)
        assert (one[2] == "*") == (not beaten)
    _, facts, study = read_study(str(folder))
    refused = next(row for row in rows_of(facts, study) if row.state == "refused")
    assert re.search(r"macs: expected <= 9e3, got [\d,]+", refused.reason)
    assert not (folder / "trials" / refused.name).exists(), "what is refused is not trained"


def test_a_dead_workers_trial_is_done_by_another(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = swept(project)
    _, _, study = read_study(str(folder))
    lost = study.ask()
    lost.set_user_attr(studies.FOLDER, "00000")
    monkeypatch.setattr(studies, "BEAT", 0.05)
    monkeypatch.setattr(studies, "LOOKS", 6)
    work(folder)
    rows = table(folder)
    assert len(rows) == 4
    assert {row["state"] for row in rows} == {"complete"}
    assert sorted(row["trial"] for row in rows)[0] == "00000", "it has the folder of the lost one"


def test_a_trial_that_was_ended_and_let_wait_by_nobody_is_done(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever ends a dead worker's trial may die before another with its values waits, or do that a little later."""
    folder = swept(project)
    _, _, study = read_study(str(folder))
    study.tell(study.ask().number, state=optuna.trial.TrialState.FAIL)
    monkeypatch.setattr(studies, "BEAT", 0.05)
    monkeypatch.setattr(studies, "LOOKS", 6)
    monkeypatch.setattr("graphc.sweep.worker.LOOK", 0.05)
    work(folder)
    rows = table(folder)
    assert len(rows) == 4
    assert {row["state"] for row in rows} == {"complete"}


def test_what_the_storage_says_of_its_files_is_a_sentence(tmp_path: Path) -> None:
    lock = optuna.storages.journal.JournalFileOpenLock(str(tmp_path / "gone" / "journal.log"))
    for call in (lock.release, lock.acquire):
        said = r"G527.*the storage of the sweep, here, cannot be used"
        with pytest.raises(MachineError, match=said), studies.storage_errors("here"):
            call()
    with pytest.raises(OSError, match="mine"), studies.storage_errors("here"):
        raise OSError("mine")


@pytest.mark.parametrize(
    "name", ["journal.log.lock", f"journal.log.lock{'0' * 36}.rename", ".sweep.json.1.abcdefgh.tmp"]
)
def test_what_a_start_that_was_killed_has_left_is_removed(project: Path, name: str) -> None:
    (project / "swept" / "trials").mkdir(parents=True)
    (project / "swept" / "journal.log").touch()
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        name = name.replace(".1.", f".{ended.pid}.")
    (project / "swept" / name).touch()
    swept(project)
    assert not (project / "swept" / name).exists()
    (project / "other" / "trials").mkdir(parents=True)
    (project / "other" / "journal.log.bak").touch()
    with pytest.raises(MachineError, match=r"holds journal\.log\.bak"):
        swept(project, name="other")
    assert (project / "other" / "journal.log.bak").exists()


def test_a_stopped_workers_trial_is_done_elsewhere(project: Path) -> None:
    """Its folder is locked: its worker was not dead, and may go on to write there."""
    folder = swept(project)
    _, _, study = read_study(str(folder))
    stopped = study.get_trials()[study.ask().number]
    with RunFolder(folder / "trials" / "00000").locked():
        studies.again(study, stopped)
        work(folder)
    rows = table(folder)
    assert {row["state"] for row in rows} == {"complete"}
    assert sorted(row["trial"] for row in rows) == ["00000-00004", "00001", "00002", "00003"]


def test_of_equals_the_best_is_the_first_that_was_planned(project: Path) -> None:
    """Also where that one was done again, under a later number."""
    rates = "{learning_rate: [0.02, 0.02], epochs: [1]}"
    folder = swept(project, f"sweep: 1\nrecipe: recipe.yaml\nsampler: grid\nsettings: {rates}\n")
    _, _, study = read_study(str(folder))
    studies.again(study, study.get_trials()[study.ask().number])
    worker = SweepWorker(folder, [].append, DEFAULT)
    worker.work()
    assert "the best is 00000 " in worker.summary()
    assert [row["best"] for row in table(folder)] == ["*", "*"]


def test_a_value_that_the_recipe_cannot_have_is_refused(project: Path) -> None:
    folder = swept(project, SWEEP.replace("[0.0001, 0.02]", "[0.02, -1]").replace("[2, 4]", "[2]"))
    assert "refused: learning_rate" in work(folder)[1]
    assert [row["state"] for row in table(folder)] == ["complete", "refused"]


def test_a_recipe_that_changes_ends_the_sweep(project: Path) -> None:
    folder = swept(project)
    (project / "tiny.yaml").write_text((project / "tiny.yaml").read_text() + "# changed\n")
    with pytest.raises(SpecError, match=r"G528.*the recipe or its spec is not as it was when the sweep began"):
        work(folder)


def test_a_database_holds_many_sweeps(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one name too, and wherever a worker stands; one that is not there is not made anew."""
    monkeypatch.chdir(project)
    (project / "other").mkdir()
    small = SWEEP.replace("[0.0001, 0.02]", "[0.02]").replace("[2, 4]", "[2]")
    first, second = (swept(project, small, name, "sqlite:///trials.db") for name in ("same", "other/same"))
    monkeypatch.chdir(project / "other")
    for folder in (first, second):
        assert len(work(folder)) == 1
    assert not (project / "other" / "trials.db").exists()
    (project / "trials.db").unlink()
    with pytest.raises(MachineError, match=r"G527.*trials\.db, cannot be used: there is no such file"):
        work(first)
    assert not (project / "trials.db").exists()


def test_the_sampler_that_learns_makes_as_many_trials_as_wanted(project: Path) -> None:
    text = SWEEP.replace("grid", "tpe").replace("[0.0001, 0.02]", "{log_uniform: [0.0001, 0.05]}")
    folder = swept(project, text + "trials: 3\npruning: median\n", storage=f"sqlite:///{project}/trials.db")
    work(folder)
    assert work(folder) == [], "nothing is left to do"
    rows = table(folder)
    assert len(rows) == 3
    assert not (folder / "journal.log").exists()


def test_hopeless_trials_end_early(project: Path) -> None:
    """The rate of the fourth is far too low: it is worse than half of those before."""
    rates = "[0.02, 0.02, 0.02, 0.00000001]"
    text = f"sweep: 1\nrecipe: recipe.yaml\nsampler: grid\nsettings: {{learning_rate: {rates}, epochs: [3]}}\n"
    folder = swept(project, text + "pruning: median\nobjectives: {validation_loss: minimize}\n")
    said = work(folder)
    assert said[-1].endswith("ended early"), said
    rows = {row["trial"]: row["state"] for row in table(folder)}
    assert list(rows.values()).count("pruned") == 1


def test_errors_are_said_before_anything_is_made(project: Path) -> None:
    with pytest.raises(SpecError, match="learning_rat"):
        swept(project, SWEEP.replace("learning_rate", "learning_rat"))
    with pytest.raises(SpecError, match=r"objectives: expected a number of the run's log or a cost, found 'acc'"):
        swept(project, SWEEP + "objectives: {acc: maximize}\n")
    with pytest.raises(MachineError, match="storage of the sweep, nonsense"):
        swept(project, storage="nonsense://x")
    with pytest.raises(WeightsError, match=r"found no sweep\.json"):
        SweepWorker(project, print, DEFAULT)
    assert not list(project.glob("swept*/sweep.json"))
    folder = swept(project, name="there")
    (folder / "sweep.json").unlink()  # as where the start is killed
    folder = swept(project, name="there")
    with pytest.raises(MachineError, match="holds a sweep already: `graphc sweep --join`"):
        begin_sweep(project / "sweep.yaml", folder, None)


def test_two_processes_share_a_sweep(project: Path) -> None:
    """The same trials as one has, none of them twice."""
    alone = swept(project, name="alone")
    work(alone)
    folder = swept(project, name="shared")
    command = [sys.executable, "-m", "graphc", "sweep", "--join", str(folder)]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [worker.communicate(timeout=120)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert sum(text.count("trial 0") for text in said) >= 4
    key = lambda row: (row["filters"], row["learning_rate"], row["validation_accuracy"], row["best"])  # noqa: E731
    assert sorted(map(key, table(folder))) == sorted(map(key, table(alone)))


def test_the_command_line(project: Path) -> None:
    (project / "sweep.yaml").write_text(SWEEP.replace("[2, 4]", "[2]"))
    result = CliRunner().invoke(cli, ["sweep", str(project / "sweep.yaml"), "-o", str(project / "new")])
    assert result.exit_code == 0, result.output
    assert re.search(r"wrote .*new: 2 trials, 2 complete; the best is 0000\d \(validation_accuracy", result.output)
    result = CliRunner().invoke(cli, ["sweep", "--show", str(project / "new"), "--format", "csv"])
    assert result.output.startswith("trial,state,best,validation_accuracy,filters,learning_rate,epochs,seconds\n")
    result = CliRunner().invoke(cli, ["sweep", "--join", "--show", str(project / "new")])
    assert result.exit_code == 2


def test_the_pictures(project: Path) -> None:
    folder = swept(project, SWEEP + "objectives: {validation_accuracy: maximize, params: minimize}\n")
    assert "no trial has an epoch in its log" in page_of(folder)
    work(folder)
    page = page_of(folder)
    assert page.count("<circle") == 4
    assert page.count('class="dot best"') == sum(row["best"] == "*" for row in table(folder))
    assert page.count('<polyline class="trial') == 8, "four through the coordinates, four learning curves"
    assert page.count('class="bar"') == 3
    assert "<script" not in page
    assert "filters 2, learning_rate 0.02" in page


def page_of(folder: Path) -> str:
    target = folder.parent / "page.html"
    result = CliRunner().invoke(cli, ["report", str(folder), "-o", str(target)])
    assert result.exit_code == 0, result.output
    return target.read_text(encoding="utf-8")
