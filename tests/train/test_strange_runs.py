"""Folders of runs that somebody else has made: what does not go together is a sentence, whose checksums are right."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest

from graphc import load_run
from graphc.errors import GraphcError
from graphc.train.checkpoint import CheckpointKey, Checkpoints, _signed
from graphc.train.commands import Options, evaluate_run, resume, train
from graphc.train.progress import Silent
from graphc.train.run_folder import RunFolder
from graphc.weights.safetensors_file import SafetensorsFile, write_safetensors
from tests.costs import little
from tests.train.conftest import write_tiny_project

AT = CheckpointKey(20, 2)
"""In the midst of the third epoch of seven steps."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = write_tiny_project(tmp_path_factory.mktemp("run"))
    train(folder / "recipe.yaml", folder / "run", ["checkpoint_steps=20", "epochs=3", "early_stopping={}"])
    for path in (folder / "run/checkpoints").iterdir():
        if path.stem != str(AT):
            path.unlink()
    return folder / "run"


def changed(run, tmp_path, change):
    """A copy of the run, and its checkpoint's facts and arrays as `change` leaves them, signed."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    checkpoint, _ = Checkpoints(copy / "checkpoints").latest()
    facts, arrays = checkpoint.facts, dict(checkpoint.arrays)
    change(facts, arrays)
    Checkpoints(copy / "checkpoints").save(
        AT, arrays, {key: facts[key] for key in facts if not key.startswith("data_")}
    )
    return copy


def put(*path, value):
    def change(facts, arrays):
        for key in path[:-1]:
            facts = facts[key]
        facts[path[-1]] = value

    return change


def put_array(name, value):
    return lambda facts, arrays: arrays.__setitem__(name, value)


def test_it_is_gone_on_with_as_it_is(run, tmp_path):
    assert resume(changed(run, tmp_path, lambda facts, arrays: None))["epoch"] == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("watch", "name", value="auc"), "expected one of loss, accuracy to be watched, found 'auc'"),
        (put("watch", "best", value="0.5"), "watch: expected best in it"),
        (put("watch", "waited", value=True), "watch: expected waited in it"),
        (put("watch", "more", value=1), "unexpected keyword argument 'more'"),
        (put("plateau", "factor", value=None), "plateau: expected factor in it"),
        (put("position", value=3), "expected step 17 after these epochs, found step 20, epoch 2, position 3"),
        (put("position", value=8), "expected a step of this training, found step 20, epoch 2, position 8"),
        (put_array("order", np.arange(99)), "expected the order of 100 rows"),
        (put_array("order", np.arange(100) + 1), "expected the order of 100 rows"),
        (put_array("order", np.arange(100.0)), "expected the order of 100 rows"),
        (put_array("totals/epoch/steps", np.zeros(2)), "expected the totals of these losses and metrics"),
        (put_array("totals/auc/sums", np.zeros(2)), "expected the totals of these losses and metrics"),
        (put_array("totals/x", np.zeros(2)), "not enough values to unpack"),
        (put_array("totals/epoch/steps", np.zeros(())), "expected the totals of 6 steps, found those of 0.0"),
        (put_array("totals/epoch/examples", np.full((), -1.0)), "expected the totals of 6 steps"),
        (put_array("order", np.zeros(100, np.int64)), "expected an order in which no row is twice"),
        (
            put_array("params/tiny/nobody", np.zeros(2)),
            "expected its arrays alone, found 1 array such as 'params/tiny/nobody'",
        ),
        (put_array("totals/metric 0/right", np.array(-1)), "expected the totals of these losses and metrics"),
        (put_array("totals/terms/counts", np.array([-1.0])), "expected the totals of these losses and metrics"),
        (put_array("totals/epoch/examples", np.array(1e9)), "expected the totals of 6 steps"),
        (put_array("slots/mean/tiny/conv1/weights", np.full((3, 3, 1, 4), np.nan, np.float32)), "is not finite"),
        (
            put_array("slots/square/tiny/conv1/weights", np.full((3, 3, 1, 4), -1e-9, np.float32)),
            "has negative numbers",
        ),
        (put("watch", "best", value=10**30), "watch: expected best in it"),
        (put("watch", "reference", value=10**30), "watch: expected reference in it"),
        (put("plateau", "factor", value=10**30), "plateau: expected factor in it"),
        (put("plateau", "waited", value=10**30), "plateau: expected waited in it"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_checkpoint_of_another_training(run, tmp_path, change, said):
    with pytest.raises(GraphcError, match=f"G320.*the checkpoint is of another network: .*{said}"):
        resume(changed(run, tmp_path, change))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"values": {"image": {"dtype": "text"}}},
            "values of images in values of run.json, found: .*numbers, found 'text'",
        ),
        ({"values": {"image": {"black_to_white": [1, 0]}}}, r"expected \[black, white\], found \[1.0, 0.0\]"),
        ({"values": {"image": 7}}, "values of images in values of run.json"),
        ({"values": []}, "expected values in it"),
        ({"target_classes": {"label": [1]}}, "expected classes in it"),
        ({"classes": [[]]}, "expected classes in it"),
        ({"classes": ["a", "b", "a"]}, "expected each class once, found 'a' twice"),
        ({"target_classes": {"kind": ["b", "b"]}}, "expected each class once, found 'b' twice"),
        ({"classes": ["\ud800"]}, "half a surrogate pair"),
        ({"notes": "\ud800"}, "half a surrogate pair"),
        ({"values": {}}, "expected the values of the images of image in values of run.json"),
        ({"values": {f"a{i}": {} for i in range(80_000)}}, "the network's images in values of run.json, found .*'a0'"),
        ({"values": {"image": {"dtype": "(" + "1," * 200_000 + ")f4"}}}, r"numbers, found '\(1,1,1,"),
        ({"values": {"image": {"dtype": ">f4"}}}, "numbers, found '>f4'"),
        ({"values": {"image": {"black_to_white": [0, 5e-324]}}}, r"expected \[black, white\], found"),
        ({"values": {"image": {"black_to_white": [-1e308, 1e308]}}}, r"expected \[black, white\], found"),
    ],
    ids=lambda each: "" if isinstance(each, dict) else each,
)
def test_facts_that_are_none(run, tmp_path, facts, said):
    copy = changed(run, tmp_path, lambda facts, arrays: None)
    path = copy / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))
    with pytest.raises(GraphcError, match=said):
        resume(copy)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("step", value=-1), "expected step and epoch of its name, found step -1, epoch 2"),
        (put("step", value=10**30), "expected step in it"),
        (put("epoch", value=0), "expected step and epoch of its name, found step 20, epoch 0"),
        (put("log_bytes", value=-5), "expected position and log_bytes from 0 on"),
        (put("log_bytes", value=0), r"expected the records of 2 epochs in 0 bytes, found 0"),
        (put_array("params/tiny/conv1/BatchNorm/moving_variance", np.full(4, -1, np.float32)), "1 variable"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_checkpoint_that_does_not_go_together_is_refused_and_stays(run, tmp_path, change, said):
    copy = changed(run, tmp_path, change)
    before = {path.name: path.read_bytes() for path in (copy / "checkpoints").iterdir()}
    with pytest.raises(GraphcError, match=said):
        resume(copy)
    assert {path.name: path.read_bytes() for path in (copy / "checkpoints").iterdir()} == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "damaged"),
        ('{"a": ' + "[" * 300 + "1," * 100_000 + "1" + "]" * 300 + "}", "damaged"),
        ('{"a": ' + "[" * 990 + "]" * 990 + "}", "damaged"),
        ('{"a": 1e999}', "damaged"),
        ('{"a": "\\ud800"}', "damaged"),
        ('{"a": 1' + "0" * 400 + "}", "damaged"),
    ],
    ids=("twice", "long", "deep", "infinite", "half", "large"),
)
def test_the_text_of_a_checkpoint_is_looked_at_before_it_is_written_out(run, tmp_path, text, said):
    copy = changed(run, tmp_path, lambda facts, arrays: None)
    (copy / f"checkpoints/{AT}.json").write_text(text)
    with little(), pytest.raises(GraphcError, match="no checkpoint is whole") as error:
        resume(copy)
    assert said in error.value.notes[0]


def test_types_that_numpy_lacks_are_a_damaged_checkpoint(run, tmp_path):
    copy = changed(run, tmp_path, lambda facts, arrays: None)
    path = copy / f"checkpoints/{AT}.json"
    header = json.dumps({"a\n": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(4)
    path.with_suffix(".safetensors").write_bytes(data)
    facts = {key: value for key, value in json.loads(path.read_text()).items() if key != "checksum"}
    path.write_bytes(_signed({**facts, "data_sha256": hashlib.sha256(data).hexdigest(), "data_bytes": len(data)}))
    with pytest.raises(GraphcError, match="no checkpoint is whole") as error:
        resume(copy)
    assert "cannot be read" in error.value.notes[0]


def test_what_a_checkpoint_says_of_its_settings_stays_on_a_line(run, tmp_path):
    copy = changed(run, tmp_path, put("settings", "numpy", value="1\nerror[G101]: no\x1b[31m"))
    reporter = Reporter()
    resume(copy, reporter)
    assert any("numpy 1\\x0aerror[G101]: no\\x1b[31m" in warning for warning in reporter.warnings)


def at_the_end_of_an_epoch(run, tmp_path, change):
    """As `changed`, of a checkpoint at which an epoch begins."""

    def moved(facts, arrays):
        change(facts, arrays)
        facts["step"], facts["position"] = 14, 0

    copy = changed(run, tmp_path, moved)
    for path in (copy / "checkpoints").iterdir():
        path.rename(path.with_name(path.name.replace(str(AT), str(CheckpointKey(14, 2)))))
    return copy


def test_totals_where_an_epoch_begins(run, tmp_path):
    many = {f"totals/a/{i}": np.zeros(0, np.float32) for i in range(12_000)}
    copy = at_the_end_of_an_epoch(run, tmp_path, lambda facts, arrays: arrays.update(many))
    with little(), pytest.raises(GraphcError, match="expected the totals of these losses and metrics"):
        resume(copy)


ACCEPTING = Options(accept_changes=True)


def began(copy, **values):
    """The run as one that has begun with other values of its recipe."""
    path = copy / "run.json"
    facts = json.loads(path.read_text())
    facts["began"]["recipe"].update(values)
    path.write_text(json.dumps(facts))
    return facts


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("watch", "name", value="auc"), "expected one of loss, accuracy to be watched, found 'auc'"),
        (put_array("slots/mean/tiny/conv1/weights", np.full((3, 3, 1, 4), np.nan, np.float32)), "is not finite"),
    ],
    ids=["watched", "not finite"],
)
def test_changes_that_are_accepted_do_not_make_it_fit(run, tmp_path, change, said):
    copy = changed(run, tmp_path, change)
    began(copy, batch=8)  # a change of the steps, and of nothing that is watched
    with pytest.raises(GraphcError, match=f"G320.*{said}"):
        resume(copy, options=ACCEPTING)


def test_arrays_that_nothing_is_done_with_are_said(run, tmp_path):
    copy = changed(run, tmp_path, put_array("params/tiny/nobody", np.zeros(2)))
    began(copy, batch=8)
    reporter = Reporter()
    resume(copy, reporter, ACCEPTING)
    said = "warning[G327]: left out of the checkpoint: 1 array such as 'params/tiny/nobody'"
    assert said in reporter.warnings


def test_thousands_of_changes_are_counted(run, tmp_path):
    copy = changed(run, tmp_path, lambda facts, arrays: None)
    facts = began(copy, **{f"a{i}": 1 for i in range(50_000)})
    facts["began"]["texts"].update({"a" * 5_000: "", "b\n\x1b[31m": "", "tiny.yaml": "x" * 100_000})
    facts["began"]["graphc"] = "9" * 100_000
    (copy / "run.json").write_text(json.dumps(facts))
    with little(), pytest.raises(GraphcError, match=r"found 50,004 changes") as error:
        resume(copy)
    assert len(str(error.value)) < 5_000
    assert "and 49,9" in str(error.value)
    reporter = Reporter()
    with little():
        resume(copy, reporter, ACCEPTING)
    assert sum(map(len, reporter.warnings)) < 10_000


def test_thousands_of_settings_are_counted(run, tmp_path):
    copy = changed(run, tmp_path, lambda facts, arrays: facts["settings"].update({f"a{i}": 1 for i in range(50_000)}))
    reporter = Reporter()
    resume(copy, reporter)
    assert "and 49,992 more" in reporter.warnings[0]
    assert len(reporter.warnings[0]) < 1_000


@pytest.mark.parametrize("provider", ["tensorrt:trt_extra_plugin_lib_paths=a.so", "cuda:a=/tmp", "x" * 10_000, {}, 5])
def test_a_checkpoint_chooses_no_files_for_a_provider(run, tmp_path, provider):
    settings = {"engine": "onnxruntime", "provider": provider}
    copy = changed(run, tmp_path, lambda facts, arrays: facts.update(settings=settings))
    with pytest.raises(GraphcError, match=r"G320.*numbers as options.*: --provider says which"):
        resume(copy)


@pytest.mark.parametrize("provider", ["cpu", "cuda:use_tf32=0,cpu", "openvino:device_type=GPU.0"])
def test_providers_that_are_taken_from_a_checkpoint(provider):
    assert Options().going_on({"engine": "onnxruntime", "provider": provider}).provider == provider


@pytest.mark.parametrize(
    "name", ["best.safetensors", "recipe.json", "run.json", "spec/tiny.yaml", "spec", "metrics.jsonl"]
)
def test_files_that_lie_elsewhere_are_not_read(run, tmp_path, name):
    copy = changed(run, tmp_path, lambda facts, arrays: None)
    (copy / name).rename(tmp_path / "moved")
    (copy / name).symlink_to(tmp_path / "moved")
    read = load_run if name != "metrics.jsonl" else lambda folder: RunFolder(folder).records()
    with pytest.raises(GraphcError, match=rf"{name}: error\[G323\]: .* of the run's own, found a symbolic link"):
        read(copy)


class Reporter(Silent):
    def __init__(self):
        self.warnings = []

    def warn(self, message):
        self.warnings.append(message)


def test_curves_that_memory_does_not_hold_are_refused(run, tmp_path):
    copy = changed(run, tmp_path, lambda facts, arrays: None)
    many = json.dumps({"epoch": 1, "step": 1, **{f"a{i}": 1 for i in range(9_000)}})
    (copy / "metrics.jsonl").write_text(many + "\n" + "".join(f'{{"epoch":{i + 2},"step":2}}\n' for i in range(10_000)))
    with little(), pytest.raises(GraphcError, match=r"G324.*expected at most .* numbers in the curves, found 90,"):
        _ = load_run(copy).curves


@pytest.fixture(scope="module")
def fitted_run(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted") / "run"
    steps = "data.preprocess={steps: [{standardize: {per: pixel}}, {whiten: {}}]}"
    train(run.parent / "recipe.yaml", folder, ["epochs=1", steps])
    return folder


RAW = "*:raw"
MEAN, DEVIATION, MATRIX = "*:0/mean", "*:0/deviation", "*:1/matrix"
SHAPE = (6, 6, 1)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (RAW, 6.0, "the shape of images"),
        (RAW, [[6, 6], [1, 1]], "the shape of images"),
        (RAW, [np.nan, 6, 1], "the shape of images"),
        (RAW, [6.5, 6, 1], "the shape of images"),
        (RAW, [1e30, 6, 1], "the shape of images"),
        (RAW, [0, 6, 1], "the shape of images"),
        (RAW, None, "the shape of images"),
        (RAW, [12, 12, 1], r"the array 0/mean of 12×12×1"),
        (RAW, [6, 6, 3], "the array 0/mean of 6×6×3"),
        (MEAN, 0.5, "the array 0/mean of 6×6×1"),
        (MEAN, np.zeros((1, *SHAPE)), "the array 0/mean of 6×6×1"),
        (MEAN, np.full(SHAPE, np.inf), "the array 0/mean of finite numbers"),
        (MEAN, None, "the array 0/mean"),
        (DEVIATION, np.zeros(SHAPE), "the array 0/deviation of numbers above 0"),
        (MATRIX, 1.0, "the array 1/matrix of 1×1"),
        ("*:2/mean", [1.0], "no array 2/mean"),
        ("nobody:0/mean", [1.0], "arrays of the recipe's inputs, found nobody:0/mean"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_preprocessing_has_learned_fits_its_steps(fitted_run, tmp_path, name, value, said):
    copy = tmp_path / "run"
    shutil.copytree(fitted_run, copy)
    path = copy / "preprocess.safetensors"
    with path.open("rb") as file:
        stored = SafetensorsFile(file, "")
        arrays = {each: stored.read(each) for each in stored.names if each != name}
    if value is not None:
        arrays[name] = np.asarray(value, np.float32)
    with path.open("wb") as file:
        write_safetensors(file, arrays)
    with pytest.raises(GraphcError, match=r"preprocess.safetensors: error\[G404\]: .*" + said):
        evaluate_run(copy)


def test_what_it_was_learned_for_is_what_the_network_reads(fitted_run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(fitted_run, copy)
    with (copy / "preprocess.safetensors").open("wb") as file:
        arrays = {
            RAW: [4, 4, 1],
            MEAN: np.zeros((4, 4, 1)),
            DEVIATION: np.ones((4, 4, 1)),
            MATRIX: [[1]],
            "*:1/mean": [0],
        }
        write_safetensors(file, {name: np.asarray(value, np.float32) for name, value in arrays.items()})
    with pytest.raises(GraphcError, match="the spec reads image of 6×6×1, its preprocessing was learned for 4×4×1"):
        evaluate_run(copy)
