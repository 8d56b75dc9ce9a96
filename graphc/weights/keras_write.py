"""Weights as Keras loads them by the names of layers: `model.load_weights("net.h5", by_name=True)`.

The newer `.weights.h5` has no names of layers: it counts the layers of each class in the order of a model, which only
the model knows. The older form has names, and every version of Keras loads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from graphc.errors import WeightsError
from graphc.files import atomic_write, shown
from graphc.types import Array
from graphc.weights.hdf5_write import Hdf5Writer

SUFFIXES = (".h5", ".hdf5")
NEWER = ".weights.h5"
VERSION = "2.15.0"
"""The last Keras of the older form."""
ORDER = (
    *("kernel", "depthwise_kernel", "pointwise_kernel", "gamma", "beta", "bias"),
    *("moving_mean", "moving_variance", "alpha"),
)
"""In which a layer's arrays are loaded: those that are trained come first."""


def write_h5(path: str | Path, arrays: Mapping[str, Array]) -> None:
    """Arrays of any shape, as float32, by `layer/kernel`."""
    name = Path(path).name.lower()
    if not name.endswith(SUFFIXES) or name.endswith(NEWER):
        message = f"expected a file of Keras's form that has the names of layers, NAME.h5, got {shown(path)}"
        raise WeightsError("G300", message)
    layers: dict[str, dict[str, Array]] = {}
    for full, array in arrays.items():
        layer, _, local = full.rpartition("/")
        if "/" in layer:
            message = f"{layer} lies within a layer, where Keras does not look for names: export a .safetensors file"
            raise WeightsError("G364", f"{shown(path)}: {message}")
        layers.setdefault(layer, {})[local] = array
    file = Hdf5Writer(max([len(layers), *map(len, layers.values())]))
    groups = {}
    for layer, found in layers.items():
        names = [f"{local}:0" for local in sorted(found, key=ORDER.index)]
        inner = file.group({each: file.array(found[each.partition(":")[0]]) for each in names}, {})
        groups[layer] = file.group({layer: inner}, {"weight_names": [f"{layer}/{each}" for each in names]})
    said = {"layer_names": list(layers), "keras_version": [VERSION], "backend": ["tensorflow"]}
    atomic_write(path, file.whole(file.group(groups, said)))
