"""Data sets in shards: what is read, in which order, by how many, and how damage is met."""

from __future__ import annotations

import json
import os
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from graphc.data import webdataset
from graphc.data.augment.geometry import FlipHorizontal
from graphc.data.batches import Augmenting, Batches
from graphc.data.examples import split
from graphc.data.preprocess import FittedPreprocess, Preprocess
from graphc.data.sources import WebDataset
from graphc.data.target_kind import TargetKind
from graphc.data.wanted import Want, Wanted
from graphc.data.webdataset import shard_paths
from graphc.errors import DataError
from tests.data.shards import gray, write_shard

LIMIT = 10_000_000
COUNTS = (7, 5, 8)


@pytest.fixture(name="folder")
def make_folder(tmp_path: Path) -> Path:
    """Three shards; an example's shade is its number, its class the number's remainder by 3."""
    number = 0
    for shard, count in enumerate(COUNTS):
        files = []
        for at in range(count):
            more = json.dumps({"name": "abc"[number % 3], "is": {"Age": number + 0.5}}).encode()
            key = f"{shard}/{at:03}"
            files += [(f"{key}.png", gray(number)), (f"{key}.cls", b"%d\n" % (number % 3)), (f"{key}.json", more)]
            files += [(f"{key}.seg.png", gray(number % 2))]
            number += 1
        write_shard(tmp_path / f"s-{shard:02}.tar", files)
    return tmp_path


def source(**settings) -> WebDataset:
    return WebDataset(**{"path": "s-{00..02}.tar", "size": (6, 6), "channels": 1, "image": "png", **settings})


def shades(examples, rows=slice(None)) -> list[int]:
    return examples.inputs["image"][rows][:, 0, 0, 0].tolist()


def test_examples_stand_in_the_order_of_the_shards(folder):
    examples = source().load(folder, LIMIT)
    assert shades(examples) == list(range(20))
    assert examples.targets["label"].tolist() == [number % 3 for number in range(20)]
    assert examples.name(8) == f"{folder}/s-01.tar[1/001.png]"


def test_targets_of_json_names_and_masks(folder):
    wanted = Wanted({"label": Want(), "age": Want(frozenset({TargetKind.VALUES})), "mask": Want()})
    found = source(targets={"label": "json.name", "age": "JSON.is.Age"}, mask="seg.png").load(folder, LIMIT, wanted)
    assert found.targets["age"].tolist() == [number + 0.5 for number in range(20)]
    assert found.classes == ("a", "b", "c")
    assert found.targets["label"].tolist() == [number % 3 for number in range(20)]
    assert found.targets["mask"][:][:, 0, 0].tolist() == [number % 2 for number in range(20)]


def test_an_epoch_goes_through_shards_in_windows(folder):
    examples = source(window=4).load(folder, LIMIT)
    order = examples.order(1, 0)
    assert order.tolist() == source(window=4).load(folder, LIMIT).order(1, 0).tolist()
    assert sorted(order.tolist()) == list(range(20))
    orders = {tuple(examples.order(seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    shard = np.repeat(range(3), COUNTS)
    for epoch in range(5):
        runs = shard[examples.order(1, epoch)]
        for start in range(0, 20, 4):
            assert len({*runs[start : start + 4]}) <= 2, "a window lies in two neighbors of the drawn shards"
    assert {int(shard[examples.order(1, epoch)[0]]) for epoch in range(20)} == {0, 1, 2}


def test_any_number_of_workers_makes_the_same_batches_from_any_place(folder):
    train, held_out = split(source(window=5).load(folder, LIMIT), 0.2, 0)
    assert sorted([*shades(train), *shades(held_out)]) == list(range(20))

    def made(workers: int, start: int = 0) -> list[np.ndarray]:
        fitted = {"image": FittedPreprocess(Preprocess())}
        augmenting = Augmenting(3, (FlipHorizontal(),))
        batches = Batches(train, 3, {"image": (6, 6, 1)}, np.float32, fitted, augmenting, workers)
        try:
            with batches.ahead(batches.batch_rows(train.order(7, 2), start), 2) as found:
                return [batch.inputs["image"].copy() for batch in found]
        finally:
            batches.close()

    whole = made(0)
    for again in (made(2), [*whole[:2], *made(2, start=2)]):
        np.testing.assert_array_equal(np.concatenate(whole), np.concatenate(again))


def test_an_index_is_kept_and_checked(folder, monkeypatch):
    kept = source(index="index.npz")
    first = kept.load(folder, LIMIT)
    scanned = []
    add = webdataset.Scan.add
    monkeypatch.setattr(webdataset.Scan, "add", lambda self, *args: (scanned.append(args), add(self, *args)))
    again = kept.load(folder, LIMIT)
    assert not scanned
    assert again.fingerprint() == first.fingerprint()
    np.testing.assert_array_equal(again.targets["label"], first.targets["label"])
    source(index="index.npz", targets={"label": "json.name"}).load(folder, LIMIT)
    assert len(scanned) == 3, "other targets"
    write_shard(folder / "s-01.tar", [("x.png", gray(99)), ("x.cls", b"2")])
    changed = source(index="index.npz", targets={}).load(folder, LIMIT)
    assert len(scanned) == 6
    assert 99 in shades(changed)
    os.utime(folder / "s-00.tar", ns=(1, 1))
    source(index="index.npz", targets={}).load(folder, LIMIT)
    assert len(scanned) == 9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda found: {"x": np.zeros(3)}, "expected an array 'about'"),
        (lambda found: {**found, "about": np.frombuffer(b"{}", np.uint8)}, "it is no index"),
        (lambda found: {**found, "places": found["places"] + 2**40}, "a member does not lie in its shard"),
        (lambda found: {**found, "files": found["files"] + 1}, "a member is in no shard"),
        (lambda found: {**found, "places": found["places"][:1]}, "an array has another type or shape"),
        (lambda found: {**found, "cells": np.frombuffer(b"{}", np.uint8)}, "targets are missing"),
    ],
)
def test_an_index_that_is_something_else_is_refused(folder, change, said):
    source(index="index.npz").load(folder, LIMIT)
    with np.load(folder / "index.npz") as file:
        found = dict(file)
    np.savez(folder / "index.npz", **change(found))
    before = (folder / "index.npz").read_bytes()
    with pytest.raises(DataError, match=said):
        source(index="index.npz").load(folder, LIMIT)
    assert (folder / "index.npz").read_bytes() == before


def test_a_file_in_json_says_its_value(tmp_path):
    texts = [b'"cat"', b'\xef\xbb\xbf "dog"\n', b' "cat"']
    write_shard(
        tmp_path / "a.tar", [(f"{n}.{e}", d) for n, t in enumerate(texts) for e, d in (("png", gray(n)), ("json", t))]
    )
    found = source(path="a.tar", targets={"label": "json"}).load(tmp_path, LIMIT)
    assert (found.classes, found.targets["label"].tolist()) == (("cat", "dog"), [0, 1, 0])


@pytest.mark.parametrize(
    ("files", "settings", "said"),
    [
        ([("a.png", b""), ("a.jpg", b"")], {"image": None}, r"\[a\]: .*expected one image, found .png, .jpg; `image`"),
        ([("a.cls", b"1")], {}, r"expected a .png, found .cls"),
        ([("a.png", b""), ("a.txt", b"1")], {}, r"label: expected a file .cls, found .png, .txt: `targets` says where"),
        ([("a.png", b""), ("a.png", b"1")], {}, r"expected one .png, found two"),
        ([("a.png", b""), ("a.cls", b"\xff")], {}, r"expected UTF-8 in .cls"),
        ([("a.png", b""), ("a.cls", bytes(2**20 + 1))], {}, r"expected at most 1,048,576 bytes in .cls"),
        ([("a.png", b""), ("a.json", b"{")], {"targets": {"label": "json.x"}}, r"label: expected JSON"),
        ([("a.png", b""), ("a.json", b"cat")], {"targets": {"label": "json"}}, r"label: expected JSON"),
        ([("a.png", b""), ("a.json", b'{"y": 1}')], {"targets": {"label": "json.x"}}, r"expected a key 'x', found y"),
        ([("a.png", b""), ("a.cls", b"1")], {"mask": "seg.png"}, r"expected a mask, .seg.png, found none"),
        ([("a", b"")], {}, "found no images"),
    ],
)
def test_errors_name_shard_and_example(tmp_path, files, settings, said):
    write_shard(tmp_path / "s.tar", files)
    with pytest.raises(DataError) as caught:
        source(path="s.tar", **settings).load(tmp_path, LIMIT)
    assert re.search(said, str(caught.value)), str(caught.value)
    assert "s.tar" in str(caught.value)


def test_examples_without_an_image_are_left_out_where_the_recipe_says_so(tmp_path):
    files = [("a.png", gray(1)), ("a.cls", b"1"), ("b.cls", b"0"), ("c.png", b"bad"), ("c.cls", b"0")]
    write_shard(tmp_path / "s.tar", files)
    found = source(path="s.tar", bad_files="skip").load(tmp_path, LIMIT)
    assert shades(found) == [1]
    assert len(found.skipped) == 1
    assert "1 file that is no image" in found.notes[0]


@pytest.mark.parametrize("cut", ["between members", "in a member", "header"])
def test_shards_that_are_cut_off_or_damaged(folder, cut):
    """Also between two members, where a tar without its end looks whole."""
    path = folder / "s-01.tar"
    data = path.read_bytes()
    with tarfile.open(path) as archive:
        member = archive.getmembers()[8]
    at = member.offset
    wrong = data[:at] + b"x" + data[at + 1 :]
    path.write_bytes({"between members": data[:at], "in a member": data[: at + 600], "header": wrong}[cut])
    with pytest.raises(DataError, match=r"s-01\.tar: error\[G401\]"):
        source().load(folder, LIMIT)


def test_many_headers_before_a_member_are_refused(tmp_path):
    """A long name of a long name of …"""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1
    (tmp_path / "s.tar").write_bytes((info.tobuf(tarfile.GNU_FORMAT) + b"x" + bytes(511)) * 3000)
    with pytest.raises(DataError, match="expected a tar that is not compressed"):
        source(path="s.tar").load(tmp_path, LIMIT)


def test_no_more_examples_than_memory_holds(folder):
    with pytest.raises(DataError, match=r"more examples than 1,000 bytes hold"):
        source().load(folder, 1000)


def test_patterns():
    assert shard_paths("a.tar") == ["a.tar"]
    assert shard_paths("{x,y}-{08..10}.tar") == [f"{each}-{n}.tar" for each in "xy" for n in ("08", "09", "10")]
    for wrong, said in (("{0..3", "a } for every {"), ("{3..1}", "lower number first"), ("{0..999999999}", "at most")):
        with pytest.raises(DataError, match=said):
            shard_paths(wrong)
