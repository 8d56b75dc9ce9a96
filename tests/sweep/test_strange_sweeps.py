"""Folders of sweeps that somebody else has made."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from graphc.errors import MachineError, WeightsError
from graphc.train.trained import DEFAULT
from tests.costs import little
from tests.train.conftest import write_tiny_project

pytest.importorskip("optuna", reason="needs optuna, the extra sweep")

from graphc.sweep.checks import check_database
from graphc.sweep.study import read_study
from graphc.sweep.worker import SweepWorker, begin_sweep


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two trials that are done."""
    folder = write_tiny_project(tmp_path_factory.mktemp("stranger"), 64, 32)
    text = "sweep: 1\nrecipe: recipe.yaml\nsampler: grid\nsettings: {batch: [16, 32], epochs: [1]}\n"
    (folder / "sweep.yaml").write_text(text)
    begin_sweep(folder / "sweep.yaml", folder / "swept", None)
    SweepWorker(folder / "swept", lambda said: None, DEFAULT).work()
    return folder / "swept"


def copied(stranger: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stranger, tmp_path / "swept"))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("folder", "../../other", "a folder such as 00007, found '../../other'"),
        ("folder", "/etc", "a folder such as 00007"),
        ("folder", ["00000"], "a folder such as 00007"),
        ("folder", "00000\n\x1b[31m", r"a folder such as 00007, found '00000\\n\\x1b\[31m'"),
        ("values", 5, "a value for each of batch, epochs, found 5"),
        ("values", {"batch": 16}, "a value for each of batch, epochs"),
        ("values", {"batch": 17, "epochs": 1}, "a value of batch, found 17"),
        ("values", {"batch": True, "epochs": [1]}, "a value of batch, found true"),
        ("again", [1], "the number of another trial"),
        ("ended", {"a": 1}, "one of diverged, refused, surplus"),
        ("ended", "well\x1b[31m", "one of diverged, refused, surplus"),
        ("reason", {"a": 1}, "a reason in words"),
    ],
)
def test_what_a_journal_says_beside_its_trials(
    stranger: Path, tmp_path: Path, key: str, value: object, said: str
) -> None:
    folder = copied(stranger, tmp_path)
    lines = [json.loads(line) for line in (folder / "journal.log").read_text().splitlines()]
    for line in lines:
        if line["op_code"] == 4:
            line["user_attrs"][key] = value
    kept = [line for line in lines if key not in line.get("user_attr", {})]
    (folder / "journal.log").write_text("".join(json.dumps(line) + "\n" for line in kept))
    with pytest.raises(WeightsError, match=r"journal.log: error\[G323\]: trial 0: expected " + said):
        read_study(str(folder))


@pytest.mark.parametrize(
    "values", [None, [], [0.5, 0.5], ["a"], [10**400], [float("nan")], [float("inf")]], ids=lambda each: str(each)[:9]
)
def test_results_that_are_none(stranger: Path, tmp_path: Path, values: object) -> None:
    folder = copied(stranger, tmp_path)
    lines = [json.loads(line) for line in (folder / "journal.log").read_text().splitlines()]
    for line in lines:
        if "values" in line and line["op_code"] == 6 and line["values"]:
            line["values"] = values
    (folder / "journal.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises((WeightsError, MachineError), match=r"G323.*a finite number for each of|G527"):
        read_study(str(folder))


def changed(folder: Path, **settings: object) -> Path:
    """The folder, its sweep with other settings."""
    path = folder / "sweep.json"
    facts = json.loads(path.read_text())
    facts["sweep"].update(settings)
    path.write_text(json.dumps(facts))
    return folder


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"settings": {"batch": {"values": list(range(140_000))}}}, "at most 1,000 values in lists, found 140,000"),
        ({"settings": {f"a{i}": {"uniform": [0, 1]} for i in range(20_000)}}, "at most 100 that vary, found 20,000"),
        ({"settings": {"a\n\x1b[31m": {"uniform": [0, 1]}}, "trials": 5}, r"keys with dots between them, found 'a\\n"),
        ({"sampler": "random", "trials": 3}, r"journal.log: error\[G323\]: expected 3 trials, found 2"),
    ],
    ids=["values", "ranges", "name", "trials"],
)
def test_sweeps_that_nobody_writes(stranger: Path, tmp_path: Path, settings: dict, said: str) -> None:
    folder = changed(copied(stranger, tmp_path), **settings)
    with little(), pytest.raises(WeightsError, match=said) as error:
        read_study(str(folder))
    assert len(str(error.value)) < 1_000


@pytest.mark.parametrize(
    ("attributes", "fixed", "said"),
    [
        ({}, {"batch": 0, "epochs": 0}, "a value for each of batch, epochs, found null"),
        (
            {"values": {"batch": 32, "epochs": 1}},
            {"batch": 0, "epochs": 0},
            r"to wait for {batch: 1, epochs: 0}, found",
        ),
        ({"values": {"batch": 32, "epochs": 1}}, [1], r"to wait for {batch: 1, epochs: 0}, found \[1\]"),
        ({"values": {"batch": 32, "epochs": 1}}, None, r"to wait for {batch: 1, epochs: 0}, found null"),
    ],
)
def test_trials_that_wait_for_other_numbers(
    stranger: Path, tmp_path: Path, attributes: dict, fixed: object, said: str
) -> None:
    folder = copied(stranger, tmp_path)
    lines = [json.loads(line) for line in (folder / "journal.log").read_text().splitlines()]
    kept = [line for line in lines if line["op_code"] in (0, 4)]
    kept[1].update(user_attrs=attributes, system_attrs={"fixed_params": fixed})
    (folder / "journal.log").write_text("".join(json.dumps(line) + "\n" for line in kept))
    with pytest.raises(WeightsError, match="trial 0: expected " + said):
        SweepWorker(folder, print, DEFAULT)


@pytest.mark.parametrize("name", ["sweep.json", "journal.log", "trials", "trials/00001"])
def test_what_lies_elsewhere_is_neither_read_nor_written(stranger: Path, tmp_path: Path, name: str) -> None:
    folder = copied(stranger, tmp_path)
    lines = [json.loads(line) for line in (folder / "journal.log").read_text().splitlines()]
    kept = [line for line in lines if line["op_code"] in (0, 4)]  # all wait again
    (folder / "journal.log").write_text("".join(json.dumps(line) + "\n" for line in kept))
    (folder / name).rename(tmp_path / "moved")
    (folder / name).symlink_to(tmp_path / "moved")
    before = {path: path.read_bytes() for path in (tmp_path / "moved").rglob("*") if path.is_file()}
    with pytest.raises(WeightsError, match=rf"{name}: error\[G323\]: .* of the sweep's own, found a symbolic link"):
        SweepWorker(folder, print, DEFAULT).work()
    assert {path: path.read_bytes() for path in (tmp_path / "moved").rglob("*") if path.is_file()} == before


def test_many_trials_of_many_values_cost_little(stranger: Path, tmp_path: Path) -> None:
    folder = changed(copied(stranger, tmp_path), settings={"batch": list(range(1_000))}, sampler="random", trials=2_000)
    lines = [json.loads(line) for line in (folder / "journal.log").read_text().splitlines()]
    start, like = (
        next(line for line in lines if line["op_code"] == 0),
        next(line for line in lines if line["op_code"] == 4),
    )
    trials = [
        {**like, "user_attrs": {"values": {"batch": i % 1_000}}, "system_attrs": {"fixed_params": {"batch": i % 1_000}}}
        for i in range(2_000)
    ]
    (folder / "journal.log").write_text("".join(json.dumps(line) + "\n" for line in [start, *trials]))
    with little():
        read_study(str(folder))


@pytest.mark.parametrize("text", ["[" * 100_000 + "\n", "[1]\n", '{"op_code": 99}\n', "null\n", "\xff\n"])
def test_journals_that_are_none(stranger: Path, tmp_path: Path, text: str) -> None:
    folder = copied(stranger, tmp_path)
    (folder / "journal.log").write_text(text)
    with pytest.raises(MachineError, match="G527"):
        read_study(str(folder))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"objectives": {}}, "expected objectives, each with maximize or minimize"),
        ({"objectives": {"loss": "down"}}, "expected objectives, each with maximize or minimize"),
        ({"objectives": {"loss": ["minimize"]}}, "expected objectives, each with maximize or minimize"),
        ({"objectives": {"a": "maximize", "b": "minimize"}}, "expected trials of maximize, minimize, found maximize"),
        ({"study": "\ud800"}, "half a surrogate pair"),
        ({"objectives": {"a" * 500_000: "maximize"}}, "expected objectives, each with maximize or minimize"),
        ({"objectives": {"a\n\x1b[31m": "maximize"}}, "expected objectives, each with maximize or minimize"),
        ({"storage": "sqlite:///{folder}/new.db"}, "there is no such file"),
        ({"storage": "sqlite://"}, "there is no such file"),
        ({"storage": "sqlite:///{folder}/sweep.json"}, "file is not a database"),
        ({"storage": "sqlite:///{folder}/other.db"}, "no such table"),
    ],
    ids=lambda each: "" if isinstance(each, dict) else each,
)
def test_what_a_sweep_says_of_itself(stranger: Path, tmp_path: Path, facts: dict, said: str) -> None:
    folder = copied(stranger, tmp_path)
    with contextlib.closing(sqlite3.connect(folder / "other.db")) as database:
        database.execute("CREATE TABLE mine (a)")
    before = (folder / "other.db").read_bytes()
    if "storage" in facts:
        facts = {"storage": facts["storage"].format(folder=folder)}
    path = folder / "sweep.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))
    with pytest.raises((WeightsError, MachineError), match=said):
        read_study(str(folder))
    assert not (folder / "new.db").exists()
    assert (folder / "other.db").read_bytes() == before


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("CREATE VIEW studies AS WITH RECURSIVE n (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) "
         "SELECT a AS study_id, '' AS study_name FROM n WHERE a < 0", "found 'studies'"),
        ("CREATE TABLE version_info (a); CREATE TRIGGER gone AFTER INSERT ON version_info "
         "BEGIN DELETE FROM version_info; END", "found 'gone'"),
        ("CREATE TABLE studies (study_name, a AS (hex(zeroblob(100000000))))", "found 'studies'"),
        ("CREATE VIRTUAL TABLE studies USING fts5(study_name)", "found 'studies'"),
    ],
    ids=["view", "trigger", "generated", "virtual"],
)  # fmt: skip
def test_a_database_is_tables_alone(tmp_path: Path, script: str, said: str) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "trials.db")) as database:
        database.executescript(script)
    before = (tmp_path / "trials.db").read_bytes()
    with little(), pytest.raises(WeightsError, match=r"trials.db: error\[G323\]: expected tables .* alone, " + said):
        check_database(f"sqlite:///{tmp_path}/trials.db", "mine")
    assert (tmp_path / "trials.db").read_bytes() == before


@pytest.mark.parametrize("end", [b"", bytes.fromhex("d9d505f920a163d7")], ids=["own", "of several"])
def test_what_a_killed_worker_has_left_half_done_is_undone(tmp_path: Path, end: bytes) -> None:
    """A database and its journal, as they lie on the disk in the middle of a transaction."""
    (tmp_path / "killed").mkdir()
    names = ["trials.db", "trials.db-journal"]
    with contextlib.closing(sqlite3.connect(tmp_path / names[0], isolation_level=None)) as database:
        database.execute("CREATE TABLE studies (study_name, text)")
        database.execute("INSERT INTO studies VALUES ('mine', '')")
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN")
        database.execute("DELETE FROM studies")
        database.executemany("INSERT INTO studies VALUES ('other', ?)", [("y" * 2000,)] * 200)
        for name in names:
            (tmp_path / "killed" / name).write_bytes((tmp_path / name).read_bytes() + end * name.endswith("journal"))
        database.execute("ROLLBACK")
    url = f"sqlite:///{tmp_path}/killed/trials.db"
    if end:
        with pytest.raises(MachineError, match="expected the journal of one database, found one of several"):
            check_database(url, "mine")
    else:
        check_database(url, "mine")
        assert not (tmp_path / "killed" / names[1]).exists()


def test_a_journal_that_can_no_longer_be_read(stranger: Path, tmp_path: Path) -> None:
    """Behind the last trial, too, the message names it."""
    folder = copied(stranger, tmp_path)
    worker = SweepWorker(folder, lambda said: None, DEFAULT)
    (folder / "journal.log").unlink()
    (folder / "journal.log").mkdir()
    with pytest.raises(MachineError, match=r"journal\.log, cannot be used"):
        worker.summary()
