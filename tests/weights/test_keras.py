"""Files of Keras: the third format, archives, and what HDF5 could lead to."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from graphc import weights
from graphc.errors import MachineError, WeightsError
from tests.weights.files import write_h5

ONES = np.ones((3, 3, 2, 4), "f4")


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (tmp_path / "w.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with (
        pytest.raises(MachineError, match=r"needs the package h5py: install graphc\[h5\]"),
        weights.open_weights(tmp_path / "w.h5"),
    ):
        pass


def third(path):
    """As Keras 3 writes it: layers by their class, names beside the variables."""
    h5py = pytest.importorskip("h5py", reason="Keras's files are read with the extra h5")
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
    h5py = pytest.importorskip("h5py", reason="Keras's files are read with the extra h5")
    write_h5(tmp_path / "secret.h5", {"a/kernel": ONES})
    (tmp_path / "secret.bin").write_bytes(ONES.tobytes())
    layout = h5py.VirtualLayout(ONES.shape, "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "a/a/kernel:0", ONES.shape)
    makers = {
        "a link": lambda file: file.__setitem__("a/x", h5py.ExternalLink("secret.h5", "/a/a/kernel:0")),
        "a link in place": lambda file: file.__setitem__("a/x", h5py.SoftLink("/a")),
        "data that lie in other files": lambda file: file.create_virtual_dataset("a/x", layout),
        "lie in other files": lambda file: file.create_dataset(
            "a/x", ONES.shape, "f4", external=[(str(tmp_path / "secret.bin"), 0, ONES.nbytes)]
        ),
        "bytes where the shape takes": lambda file: file.create_dataset("a/x", (2**20, 2**10), "f4", chunks=(64, 64)),
    }
    for message, make in makers.items():
        with h5py.File(tmp_path / "w.h5", "w") as file:
            file.create_group("a")
            make(file)
        with pytest.raises(WeightsError, match=message), weights.open_weights(tmp_path / "w.h5") as file:
            file.read(file.names[0])


def test_groups_in_a_circle_end(tmp_path):
    h5py = pytest.importorskip("h5py", reason="Keras's files are read with the extra h5")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["a/b"] = ONES
        file["a/again"] = file["a"]
    with pytest.raises(WeightsError, match="or twice"):
        weights.load(tmp_path / "w.h5", {})
