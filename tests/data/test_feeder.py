"""The queue: the same bits for any number of workers; what dies is named; nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from graphc.data.augment.base import Augmentation
from graphc.data.augment.color import Noise
from graphc.data.augment.geometry import FlipHorizontal, PadCrop
from graphc.data.augment.mix import MixUp
from graphc.data.batches import Augmenting, Batches, balanced_order
from graphc.data.examples import Examples, class_weights, epoch_order, split
from graphc.data.preprocess import FittedPreprocess, Preprocess
from graphc.data.sources import ImageFolder, Shapes
from graphc.errors import DataError, MachineError
from graphc.parallel.waiting import answers_within
from graphc.parallel.worker import State
from tests.parallel.faults import Fault, plant_delays, stop

STEPS = (FlipHorizontal(), PadCrop(pad=2), Noise(deviation=(0.01, 0.1)))
COUNT = 22


def _batches(workers, examples=None, steps=STEPS, mixes=(), size=4):
    examples = Shapes(count=COUNT, size=(12, 12)).load(None, 10**9) if examples is None else examples
    shape = examples.inputs["image"].shape[1:]
    augmenting = Augmenting(3, steps, mixes, classes=5)
    return Batches(
        examples,
        size,
        {"image": shape},
        np.float32,
        {"image": FittedPreprocess(Preprocess(mean=(0.4,)))},
        augmenting,
        workers,
    )


def _all(batches, epoch=1, start=0):
    """Every array of an epoch, copied."""
    order = epoch_order(3, epoch, len(batches.examples))
    with batches.ahead(batches.batch_rows(order, start), epoch) as made:
        return [{**{k: v.copy() for k, v in batch.inputs.items()}, **batch.targets} for batch in made]


def _same(a, b):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
            assert one[name].dtype == other[name].dtype


@pytest.mark.parametrize("mixes", [(), (MixUp(),)], ids=["boxes", "mixed"])
def test_any_number_of_workers_gives_the_same_bits(mixes):
    examples = Shapes(count=COUNT, size=(12, 12)).load(None, 10**9)
    if mixes:
        examples = Examples(examples.inputs, {"label": examples.targets["label"]})
    found = []
    for workers in (0, 1, 3):
        batches = _batches(workers, examples, mixes=mixes)
        found.append(_all(batches) + _all(batches, epoch=2))
        batches.close()
    _same(found[0], found[1])
    _same(found[0], found[2])
    assert (found[0][0]["image"] != found[0][6]["image"]).any()


@pytest.mark.parametrize("workers", [0, 2])
def test_inputs_targets_and_raw_images_of_one_name_stay_apart(workers):
    images = Shapes(count=COUNT, size=(12, 12)).load(None, 10**9).inputs["image"]
    images, targets = images[:COUNT], {"image": np.arange(COUNT), "raw": np.arange(COUNT) * 2}
    how, shape = {"image": FittedPreprocess(Preprocess(mean=(0.4,)))}, {"image": images.shape[1:]}
    batches = Batches(Examples({"image": images}, targets), 4, shape, np.float32, how, workers=workers, keep_raw=True)
    with batches.ahead(batches.batch_rows(np.arange(COUNT))) as made:
        for number, batch in enumerate(made):
            rows = np.arange(COUNT)[4 * number : 4 * number + 4]
            np.testing.assert_array_equal(batch.raw, images[rows])
            np.testing.assert_allclose(batch.inputs["image"], images[rows] / np.float32(255) - 0.4, atol=1e-6)
            np.testing.assert_array_equal(batch.targets["image"], rows)
            np.testing.assert_array_equal(batch.targets["raw"], 2 * rows)
    batches.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_example_is_augmented_anew_in_every_epoch(workers):
    batches, epochs = _batches(workers), []
    for epoch in (1, 2, 1):
        with batches.ahead(batches.batch_rows(np.arange(COUNT)), epoch) as made:
            epochs.append(np.concatenate([batch.inputs["image"].copy() for batch in made]))
    batches.close()
    np.testing.assert_array_equal(epochs[0], epochs[2])
    assert (epochs[0] != epochs[1]).any(axis=(1, 2, 3)).all()


@pytest.mark.posix
@pytest.mark.parametrize("seed", [0, 1])
def test_delays_anywhere_change_no_bits(seed, monkeypatch):
    expected = _all(_batches(0))
    plant_delays(monkeypatch, seed, longest=0.02)
    batches = _batches(3)
    _same(expected, _all(batches))
    batches.close()


def test_the_batch_size_changes_no_example():
    whole, parts = _batches(0, size=COUNT), _batches(0, size=5)
    _same(_all(whole), [{k: np.concatenate([b[k] for b in _all(parts)]) for k in _all(whole)[0]}])


def test_an_epoch_goes_on_in_its_middle_with_the_same_stream():
    batches = _batches(2)
    _same(_all(batches)[3:], _all(batches, start=3))
    batches.close()


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_batch_stays_as_it_is_until_the_next_but_one_is_asked_for(workers):
    batches = _batches(workers, size=2)
    with batches.ahead(batches.batch_rows(np.arange(COUNT)), 0) as made:
        before = next(made)
        kept = before.inputs["image"].copy()
        for batch in made:
            time.sleep(0.02)  # what is made ahead has been made
            np.testing.assert_array_equal(before.inputs["image"], kept)
            before, kept = batch, batch.inputs["image"].copy()
    batches.close()


def test_leaving_early_and_coming_back():
    batches = _batches(2)
    with batches.ahead(batches.batch_rows(np.arange(COUNT)), 1) as made:
        next(made)
    _same(_all(batches), _all(_batches(0)))
    batches.close()


class Fatal(Augmentation):
    """Ends its process at one example in three."""

    kind = "fatal"

    def apply(self, sample, rng, size):
        if sample.image[0, 0, 0] == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return sample


class Raising(Augmentation):
    kind = "raising"

    def apply(self, sample, rng, size):
        if sample.image[0, 0, 0] == 7:
            raise ZeroDivisionError("nothing to divide by")
        return sample


@pytest.fixture
def folder(tmp_path):
    """Ten images, the fifth of another color."""
    (tmp_path / "set" / "cat").mkdir(parents=True)
    for number in range(10):
        image = Image.fromarray(np.full((8, 8, 3), 7 if number == 4 else 90, np.uint8))
        image.save(tmp_path / "set" / "cat" / f"{number}.png")
    return tmp_path / "set"


def _from(folder):
    return ImageFolder(path=".", size=(8, 8), keep="files").load(folder, 10**9)


@pytest.mark.posix
def test_a_worker_that_dies_is_named_with_its_sample(folder):
    batches = _batches(2, _from(folder), (Fatal(),), size=2)
    started = time.monotonic()
    with pytest.raises(MachineError, match=r"data worker \d \(pid \d+\) was killed by signal 9 at .*4\.png"):
        _all(batches)
    assert time.monotonic() - started < 30  # in fact a fraction of a second: the pipe ends with the process
    assert not batches._feeder.alive
    batches.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_worker_that_raises_is_named_with_its_sample(folder, workers):
    batches = _batches(workers, _from(folder), (Raising(),), size=2)
    with pytest.raises(DataError, match=r"4\.png: ZeroDivisionError: nothing to divide by"):
        _all(batches)
    batches.close()


def _removed(path):
    path.unlink()


def _a_folder(path):
    path.unlink()
    path.mkdir()


GONE_BAD = {
    "empty": (lambda path: path.write_bytes(b""), r"4\.png: error\[G406\]"),
    "shorter": (lambda path: path.write_bytes(path.read_bytes()[:-40]), r"4\.png: error\[G406\]"),
    "removed": (_removed, r"4\.png: error\[G40\d\]: there is no file"),
    "a folder": (_a_folder, r"4\.png: error\[G40\d\]: expected a file, found a folder"),
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("how", GONE_BAD)
def test_a_file_that_goes_bad_is_named(folder, workers, how):
    """Between the list that was made of the files and their turn."""
    batches = _batches(workers, _from(folder), size=2)
    spoil, words = GONE_BAD[how]
    spoil(folder / "cat" / "4.png")
    with pytest.raises(DataError, match=words):
        _all(batches)
    batches.close()


SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
import numpy as np
from tests.data.test_feeder import _batches
batches = _batches(2)
with batches.ahead(batches.batch_rows(np.arange(22)), 0) as made:
    next(made)
    print(*batches._feeder.pids, flush=True)
    time.sleep(60)
"""


def _gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_behind(name):
    number = signal.Signals[name]
    before = set(os.listdir("/dev/shm"))
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    process.communicate(timeout=30)
    deadline = time.monotonic() + 20
    while not all(map(_gone, pids)):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.02)
    assert set(os.listdir("/dev/shm")) <= before


def test_a_balanced_order_shows_every_class_alike():
    labels = np.array([0] * 50 + [1] * 5 + [2] * 11)
    order = balanced_order(1, 0, labels)
    assert len(order) == 66
    assert np.bincount(labels[order]).tolist() == [22, 22, 22]
    assert len(set(order[labels[order] == 1])) == 5
    assert len(set(order[labels[order] == 0])) == 22
    assert order.tolist() == balanced_order(1, 0, labels).tolist() != balanced_order(1, 1, labels).tolist()


def test_a_stratified_split_takes_the_share_of_each_class():
    labels = np.array([0] * 60 + [1] * 20 + [2] * 20)
    examples = Examples({"image": np.arange(100)[:, None]}, {"label": labels})
    rest, drawn = split(examples, 0.2, seed=3, stratified=True)
    assert np.bincount(drawn.targets["label"]).tolist() == [12, 4, 4]
    assert sorted([*rest.inputs["image"].ravel(), *drawn.inputs["image"].ravel()]) == list(range(100))
    assert drawn.inputs["image"].tolist() != split(examples, 0.2, 4, True)[1].inputs["image"].tolist()


def test_class_weights_make_classes_weigh_alike():
    labels = np.array([0] * 6 + [1] * 2)
    weights = class_weights(labels, 3)
    assert weights == pytest.approx((8 / 18, 8 / 6, 0))
    per_class = np.bincount(labels, np.array(weights)[labels])
    assert per_class[0] == pytest.approx(per_class[1])


@pytest.mark.posix
def test_a_stopped_worker_is_named_however_large_its_batches_are(monkeypatch):
    count = 200_000
    examples = Examples({"image": np.zeros((count, 1), np.uint8)}, {"label": np.zeros(count, np.int64)})
    how = {"image": FittedPreprocess(Preprocess())}
    Fault(stop, State.WAITING, "data worker 1").plant(monkeypatch)
    batches = Batches(examples, count // 5, {"image": (1,)}, np.float32, how, workers=2)
    started = time.monotonic()
    found = r"data worker 1 \(pid \d+\) is stopped \(SIGSTOP\) and has not answered for 0\.5 s"
    with answers_within(0.5), pytest.raises(MachineError, match=found):
        _all(batches)
    batches.close()
    assert time.monotonic() - started < 20
