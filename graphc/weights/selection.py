"""Which arrays of a file are a network's variables: what else training wrote beside them is left out, with a reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from fnmatch import fnmatchcase, translate
from posixpath import commonprefix

from graphc.errors import WeightsError
from graphc.types import Array
from graphc.weights.file import Entry, Layout, WeightsFile

SLOT = "the state of an optimizer"
DROPPED: tuple[tuple[str, str], ...] = (
    ("global_step", "a counter of steps"),
    ("save_counter", "a counter"),
    ("_CHECKPOINTABLE_OBJECT_GRAPH", "TensorFlow's own description of the file"),
    ("*num_batches_tracked", "a counter of batch norm"),
    ("*n_averaged", "a counter of averages"),
    *((f"*/{slot}", SLOT) for slot in ("Momentum", "RMSProp", "RMSProp_[0-9]", "Adam", "Adam_[0-9]", "Adagrad")),
    *((f"*/{slot}", SLOT) for slot in ("Adadelta", "Adadelta_[0-9]", "Ftrl", "Ftrl_[0-9]", "LARSOptimizer")),
    *((slot, SLOT) for slot in ("beta1_power", "beta2_power", "optimizer/*", "*/.OPTIMIZER_SLOT/*")),
    ("*/ExponentialMovingAverage", "moving averages, which --ema takes"),
)
"""Names, and what it is that they name."""
ANY_DROPPED = re.compile("|".join(translate(pattern) for pattern, _ in DROPPED))
SHADOW = "/ExponentialMovingAverage"
"""What TensorFlow appends to the name of a variable's moving average."""
INSIDE = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "module")
"""Under which name training scripts keep a network's variables, beside an optimizer's."""
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema")
PREFIXES = ("module.", "_orig_mod.", "model.", "layers/", "_layer_checkpoint_dependencies/")
"""What wrappers put before every name."""
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
"""What TensorFlow 2 appends to every name."""


class Selection:
    """A file's arrays by the names that a network would give them. `theirs` has the file's own; `dropped` those that
    are none of a network's, with the reason. `folded`: also of a file that graphc compiled with folding."""

    def __init__(self, file: WeightsFile, *, ema: bool = False, folded: bool = False) -> None:
        self.file = file
        if not folded and file.metadata.get("graphc.fold") == "true":
            message = "its batch norms are folded into the weights: compile with --no-fold, or use .npz"
            raise WeightsError("G313", f"{file.path}: {message}")
        self.dropped: dict[str, str] = {}
        names, averaged = self._inside(file.names, ema)
        if ema and not averaged:
            names = self._averages(names)
        kept = {}
        for name, theirs in names.items():
            if ANY_DROPPED.match(name) is None:
                kept[name] = theirs
            else:
                self.dropped[theirs] = next(said for pattern, said in DROPPED if fnmatchcase(name, pattern))
        self.theirs: Mapping[str, str] = _without_prefixes(kept)

    def below(self, prefix: str) -> Selection:
        """Those whose names begin so, without that; the others are dropped."""
        found = copy(self)
        kept = {name.removeprefix(prefix): theirs for name, theirs in self.theirs.items() if name.startswith(prefix)}
        beside = {theirs: f"beside {prefix}" for name, theirs in self.theirs.items() if not name.startswith(prefix)}
        found.theirs, found.dropped = _without_prefixes(kept), {**self.dropped, **beside}
        return found

    path = property(lambda self: self.file.path)
    format = property(lambda self: self.file.format)
    writer = property(lambda self: self.file.writer)
    metadata = property(lambda self: self.file.metadata)
    in_order = property(lambda self: self.file.in_order)
    nested = False

    @property
    def layout(self) -> Layout | None:
        return self.file.layout

    @property
    def names(self) -> list[str]:
        return list(self.theirs)

    def entry(self, name: str) -> Entry:
        """Shape and type of an array."""
        return self.file.entry(self.theirs[name])

    def read(self, name: str) -> Array:
        """The array, of any shape, as float32."""
        return self.file.read(self.theirs[name])

    def _inside(self, names: list[str], ema: bool) -> tuple[dict[str, str], bool]:
        """(the names within the part of a PyTorch file that holds a network, each with the whole one; whether these
        are the averages)."""
        tops = dict.fromkeys(name.partition("/")[0] for name in names if "/" in name)
        if not self.file.nested or not tops:
            return self._renamed({name: name.removesuffix(VALUE) for name in names}), False
        averaged = next((top for top in AVERAGED if top in tops), None)
        plain = next((top for top in INSIDE if top in tops), None)
        if ema and averaged is None:
            raise WeightsError("G309", f"{self.file.path}: expected moving averages, found none of {_some(tops)}")
        top = averaged if ema else plain
        if top is None:
            return {name: name for name in names}, False
        found = {}
        for name in names:
            if name.startswith(f"{top}/"):
                found[name] = name.removeprefix(f"{top}/").removeprefix("module/")
            else:
                self.dropped[name] = f"beside {top}" if name.partition("/")[0] != averaged else DROPPED[-1][1]
        return self._renamed(found), ema

    def _renamed(self, names: Mapping[str, str]) -> dict[str, str]:
        """The file's names by what they are called here; a WeightsError where two of them would be called alike."""
        found: dict[str, str] = {}
        for theirs, name in names.items():
            if found.setdefault(name, theirs) != theirs:
                message = f"{name}: expected one array of the file, found two: {found[name]} and {theirs}"
                raise WeightsError("G314", f"{self.file.path}: {message}")
        return found

    def _averages(self, names: dict[str, str]) -> dict[str, str]:
        """The moving average of each variable that has one."""
        shadows = [name for name in names if name.endswith(SHADOW)]
        if not shadows:
            raise WeightsError("G309", f"{self.file.path}: expected moving averages (…{SHADOW}), found none")
        found = {name: theirs for name, theirs in names.items() if not name.endswith(SHADOW)}
        for name in shadows:
            of = name.removesuffix(SHADOW)
            if of in found:
                self.dropped[found[of]] = "its moving average was taken"
            found[of] = names[name]
        return found


def _without_prefixes(names: dict[str, str]) -> dict[str, str]:
    common, cut = commonprefix((min(names), max(names))) if names else "", 0
    while prefix := next((each for each in PREFIXES if common.startswith(each, cut)), None):
        cut += len(prefix)
    return {name[cut:]: theirs for name, theirs in names.items()} if cut else names


def _some(names: Mapping[str, None]) -> str:
    return ", ".join(list(names)[:5])
