"""graphc: write a convolutional network as YAML, get a checked ONNX file, train it with NumPy.

`graphc.load`, `graphc.fit` and `graphc.load_run` are the Python API (`graphc/api.py`), loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from graphc.api import Model as Model
    from graphc.api import Picture as Picture
    from graphc.api import Run as Run
    from graphc.api import Table as Table
    from graphc.api import fit as fit
    from graphc.api import load as load
    from graphc.api import load_run as load_run
    from graphc.errors import GraphcError as GraphcError

API = ("Model", "Picture", "Run", "Table", "fit", "load", "load_run")


def __getattr__(name: str) -> Any:
    if name in API:
        from graphc import api  # noqa: PLC0415  (importing graphc loads nothing)

        return getattr(api, name)
    if name == "GraphcError":
        from graphc.errors import GraphcError  # noqa: PLC0415

        return GraphcError
    raise AttributeError(f"module 'graphc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *API, "GraphcError"])
