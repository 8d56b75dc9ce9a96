"""Every format is held to the same promises; what is special to one stands behind."""

from __future__ import annotations

import os
import struct
import time

import numpy as np
import pytest

from graphc import weights
from graphc.errors import GraphcError, MachineError, WeightsError
from graphc.weights.formats import FORMATS
from graphc.weights.safetensors_file import write_safetensors
from tests.costs import SECONDS
from tests.weights import files
from tests.weights.files import BFLOAT16, NO_BFLOAT16, WRITERS

RNG = np.random.default_rng(0)
ARRAYS = {
    "net/conv/kernel": RNG.standard_normal((3, 2, 4, 5)).astype("f4"),
    "net/conv/bias": RNG.standard_normal(5).astype("f4"),
    "net/scale": np.array(1.5, "f4"),
    "net/empty": np.zeros((0, 3), "f4"),
    "net/half": RNG.standard_normal((2, 3)).astype("f2"),
    "net/double": RNG.standard_normal(4),
    "net/brain": RNG.standard_normal((3, 2)).astype(BFLOAT16),
    "net/count": np.array([1, 2**40], "i8"),
}
MUTATIONS = int(os.environ.get("GRAPHC_WEIGHTS_MUTATIONS", "150"))
"""Damaged files of each format; 800 in `.ci/exhaustive`."""


def written(folder, form, arrays=ARRAYS):
    name, write = WRITERS[form]
    kept = {each: array for each, array in arrays.items() if array.dtype != BFLOAT16 or form not in NO_BFLOAT16}
    write(folder / name, kept)
    return folder / name, kept


@pytest.mark.parametrize("form", WRITERS)
def test_names_shapes_types_and_numbers_are_read(tmp_path, form):
    path, arrays = written(tmp_path, form)
    with weights.open_weights(path) as file:
        assert sorted(file.names) == sorted(arrays)
        for name, array in arrays.items():
            entry = file.entry(name)
            assert (entry.shape, entry.dtype) == (array.shape, array.dtype.name), name
            if array.dtype == np.int64:
                with pytest.raises(WeightsError, match=r"net/count: expected float16, .*, found int64"):
                    file.read(name)
                continue
            values = file.read(name)
            assert values.dtype == np.float32
            assert values.flags.c_contiguous
            assert values.shape == array.shape
            assert np.array_equal(values, array.astype(np.float32)), name


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_of_another_name_is_known_by_its_bytes(tmp_path, form):
    if form == "tensorflow 2":
        pytest.skip("its data are found by its name")
    path, arrays = written(tmp_path, form)
    path = path.rename(tmp_path / "model-1000")
    with weights.open_weights(path) as file:
        assert sorted(file.names) == sorted(arrays)


def test_every_format_has_a_writer_here():
    names = [name for name, _ in WRITERS.values()]
    assert all(any(name.endswith(each.suffixes) for name in names) for each in FORMATS)


def read_all(path):
    with weights.open_weights(path) as file:
        for name in file.names:
            entry = file.entry(name)
            if entry.dtype in ("float16", "bfloat16", "float32", "float64"):
                assert file.read(name).shape == entry.shape


def refusal(path):
    try:
        read_all(path)
    except GraphcError as error:
        return error
    return None


def damaged(data, rng):
    """Bytes that were changed, cut off, copied elsewhere, or put in."""
    found = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, to = (int(each) for each in rng.integers(len(found), size=2))
        match rng.integers(6):
            case 0 | 1:
                found[at] = rng.integers(256)
            case 2:
                found[at] ^= 1 << rng.integers(8)
            case 3:
                found[at : at + 8] = rng.bytes(8) if rng.integers(2) else b"\xff" * 8
            case 4:
                found[at : at + 4] = found[to : to + int(rng.integers(1, 40))]
            case 5:
                del found[at : at + int(rng.integers(1, 9)) if rng.integers(4) else len(found)]
        if not found:
            break
    return bytes(found)


@pytest.mark.parametrize("form", WRITERS)
def test_damaged_files_are_an_error_of_ours_soon(tmp_path, form):
    path, _ = written(tmp_path, form)
    files = sorted(tmp_path.iterdir())
    whole = {each: each.read_bytes() for each in files}
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(MUTATIONS):
        chosen = files[rng.integers(len(files))]
        chosen.write_bytes(damaged(whole[chosen], rng))
        before = time.process_time()
        error = refusal(path)
        assert time.process_time() - before < SECONDS
        if error is not None:
            refused += 1
            assert not isinstance(error, MachineError), error
            assert str(tmp_path) in str(error)
        chosen.write_bytes(whole[chosen])
    assert refused > MUTATIONS // 10
    read_all(path)


@pytest.mark.parametrize("form", ["torch", "old torch", "tensorflow 1", "tensorflow 2"])
def test_what_is_damaged_beneath_the_checksums_is_an_error_of_ours_soon(tmp_path, monkeypatch, form):
    rng = np.random.default_rng(2)
    pickle, block = files.pickle, files.block
    monkeypatch.setattr(files, "pickle", lambda value: pickle(hurt(value, rng)))
    monkeypatch.setattr(
        files,
        "block",
        lambda entries, *more: block([(hurt(key, rng), hurt(value, rng)) for key, value in entries], *more),
    )
    refused = 0
    for _ in range(MUTATIONS):
        try:
            path, _ = written(tmp_path, form)
        except (struct.error, ValueError):
            continue
        before = time.process_time()
        refused += refusal(path) is not None
        assert time.process_time() - before < SECONDS
    assert refused > MUTATIONS // 10


def hurt(data, rng):
    return damaged(data, rng) if data and not rng.integers(6) else data


@pytest.mark.parametrize("form", WRITERS)
def test_every_beginning_of_a_file_is_an_error(tmp_path, form):
    path, arrays = written(tmp_path, form, {"net/conv/kernel": ARRAYS["net/conv/kernel"]})
    data = path.read_bytes()
    for length in range(0, len(data), 1 if len(data) < 2000 else 7):
        path.write_bytes(data[:length])
        try:
            values, report = weights.load(path, {name: array.shape for name, array in arrays.items()})
            report.raise_if_incomplete()
        except WeightsError:
            continue
        assert form == "onnx", length  # a protobuf may end behind the graph
        assert np.array_equal(values["net/conv/kernel"], arrays["net/conv/kernel"])


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "a pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
    ],
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "w"])
def test_what_came_in_place_of_a_file_is_said(tmp_path, name, first, told):
    (tmp_path / name).write_bytes(first)
    with pytest.raises(WeightsError, match=told):
        read_all(tmp_path / name)


def test_a_folder_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (".", "..", str(tmp_path)):
        with pytest.raises(WeightsError, match="expected a file, found a folder"):
            read_all(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "an index of weights with weight_map"),
        ('{"weight_map": {"a": "../w.safetensors"}}', "the name of a file ending in .safetensors"),
        ('{"weight_map": {"a": "w.h5"}}', "the name of a file ending in .safetensors"),
        ('{"weight_map": {"a": "none.safetensors"}}', "there is no file"),
        ('{"weight_map": {"a": "w.safetensors", "a": "v.safetensors"}}', "a key is there twice"),
        ('{"weight_map": {"a": "w.safetensors"}}', "1 array not: a"),
        ("{", "an index of weights in JSON"),
    ],
)
def test_an_index_that_does_not_fit_its_files(tmp_path, text, told):
    files.write_safetensors(tmp_path / "w.safetensors", {"b": np.zeros(2, "f4")})
    (tmp_path / "w.index.json").write_text(text)
    with pytest.raises(WeightsError, match=told):
        read_all(tmp_path / "w.index.json")


@pytest.mark.parametrize("said", ["OIHW", "hwio", "", "a\n"])
def test_a_layout_that_graphc_does_not_write_is_not_guessed_past(tmp_path, said):
    arrays = {"a": np.zeros((3, 3, 1, 2), np.float32)}
    with (tmp_path / "w.safetensors").open("wb") as file:
        write_safetensors(file, arrays, {"graphc.layout": said})
    with pytest.raises(WeightsError, match=r"G301.*expected graphc.layout HWIO in its metadata, found '"):
        read_all(tmp_path / "w.safetensors")
