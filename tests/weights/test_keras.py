"""Files of Keras: the third format, archives, and what HDF5 could lead to."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from graphc import weights
from graphc.errors import WeightsError
from tests.weights.files import write_h5

ONES = np.ones((3, 3, 2, 4), "f4")


def third(path):
    """As Keras 3 writes it: layers by their class, names beside the variables."""
    h5py = pytest.importorskip("h5py", reason="h5py writes the files of these tests")
    with h5py.File(path, "w") as file:
        for group, name, arrays in (
            ("layers/conv2d", "first", [ONES, ONES[0, 0, 0]]),
            ("layers/batch_normalization_1", "bn", [ONES[0, 0, 0]] * 4),
            ("layers/batch_normalization_2", "bare", [ONES[0, 0, 0]] * 3),
            ("layers/sequential/layers/dense", "logits", [ONES[0, 0]]),
            ("layers/mystery", "own", [ONES]),
            ("optimizer", "adam", [ONES]),
        ):
            made = file.create_group(f"{group}/vars")
            made.attrs["name"] = name
            for place, array in enumerate(arrays):
                made[str(place)] = array
        file["layers/sequential"].create_group("vars").attrs["name"] = "head"


NAMES = [
    *("first/kernel", "first/bias", "bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"),
    *("bare/gamma_or_beta", "bare/moving_mean", "bare/moving_variance", "head/logits/kernel", "own/0", "optimizer/0"),
]


def test_variables_of_the_third_format_have_the_names_of_their_class(tmp_path):
    third(tmp_path / "w.weights.h5")
    with weights.open_weights(tmp_path / "w.weights.h5") as file:
        assert sorted(file.names) == sorted(NAMES)
        assert np.array_equal(file.read("first/kernel"), ONES)
        assert weights.Selection(file).dropped == {"optimizer/0": "the state of an optimizer"}


def test_an_archive_holds_such_a_file(tmp_path):
    third(inner := io.BytesIO())
    with zipfile.ZipFile(tmp_path / "w.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", inner.getvalue())
    with weights.open_weights(tmp_path / "w.keras") as file:
        assert file.writer == "Keras 3.15.1"
        assert sorted(file.names) == sorted(NAMES)
        assert np.array_equal(file.read("first/kernel"), ONES)
    with zipfile.ZipFile(tmp_path / "w.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(WeightsError, match=r"an archive without model\.weights\.h5"):
        weights.load(tmp_path / "w.keras", {})


def test_what_lies_in_other_files_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py writes the files of these tests")
    write_h5(tmp_path / "secret.h5", {"a/kernel": ONES})
    (tmp_path / "secret.bin").write_bytes(ONES.tobytes())
    layout = h5py.VirtualLayout(ONES.shape, "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "a/a/kernel:0", ONES.shape)
    makers = {
        "a link": lambda file: file.__setitem__("a/x", h5py.ExternalLink("secret.h5", "/a/a/kernel:0")),
        "a link in place": lambda file: file.__setitem__("a/x", h5py.SoftLink("/a")),
        "in chunks or of other files": lambda file: file.create_virtual_dataset("a/x", layout),
        "lie in other files": lambda file: file.create_dataset(
            "a/x", ONES.shape, "f4", external=[(str(tmp_path / "secret.bin"), 0, ONES.nbytes)]
        ),
        "an array in chunks or of other files": lambda file: file.create_dataset("a/x", (8, 8), "f4", chunks=(4, 4)),
        "0 bytes where the shape takes 1,024": lambda file: file.create_dataset("a/x", (16, 16), "f4"),
    }
    for message, make in makers.items():
        with h5py.File(tmp_path / "w.h5", "w") as file:
            file.create_group("a")
            make(file)
        with pytest.raises(WeightsError, match=message), weights.open_weights(tmp_path / "w.h5") as file:
            file.read(file.names[0])


def test_groups_in_a_circle_end(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py writes the files of these tests")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["a/b"] = ONES
        file["a/again"] = file["a"]
    with pytest.raises(WeightsError, match="or twice"):
        weights.load(tmp_path / "w.h5", {})


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_every_version_of_the_format(tmp_path, version):
    h5py = pytest.importorskip("h5py", reason="h5py writes the files of these tests")
    arrays = {f"layer_{place}/kernel": np.full((2, 3), place, "f4") for place in range(8)}
    with h5py.File(tmp_path / "w.h5", "w", libver=version) as file:
        file.attrs["layer_names"] = [name.partition("/")[0] for name in arrays]  # texts in a heap
        for name, array in arrays.items():
            group = file.create_group(name.partition("/")[0])
            group.attrs["weight_names"] = np.array([f"{name}:0".encode()])
            group[f"{name}:0"] = array.astype(">f4") if name == "layer_3/kernel" else array
    with weights.open_weights(tmp_path / "w.h5") as file:
        assert file.names == list(arrays)
        assert all(np.array_equal(file.read(name), array) for name, array in arrays.items())


def test_groups_of_hundreds_of_members(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py writes the files of these tests")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for place in range(700):
            file[f"a/x{place}"] = np.full(3, place, "f2")
    with weights.open_weights(tmp_path / "w.h5") as file:
        assert len(file.names) == 700
        assert all(file.read(f"a/x{place}").tolist() == [place] * 3 for place in range(700))


def test_h5py_reads_what_the_writer_of_these_tests_writes(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py writes the files of these tests")
    write_h5(tmp_path / "w.h5", {"a/kernel": ONES, "a/inner/bias": ONES[0, 0, 0], "b/kernel": ONES.astype("f8")})
    with h5py.File(tmp_path / "w.h5") as file:
        assert [each.decode() for each in file.attrs["layer_names"]] == ["a", "b"]
        assert np.array_equal(file["a/a/kernel:0"], ONES)
        assert np.array_equal(file["a/a/inner/bias:0"], ONES[0, 0, 0])
        assert np.array_equal(file["b/b/kernel:0"], ONES)
