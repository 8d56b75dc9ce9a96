"""An ONNX model as a function of arrays: the only module that knows onnxruntime."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from graphc.console import held_back
from graphc.emit.read import self_contained
from graphc.errors import GraphcError, MachineError, SpecError, WeightsError, did_you_mean, exhausted, missing_extra
from graphc.files import shown
from graphc.providers import CPU, Provider, first_line, read_providers, start
from graphc.types import Array

T = TypeVar("T")

WARNING, FATAL = 2, 4
"""onnxruntime's levels of what it writes to standard error."""
DEVICES = {"cuda": "cuda", "tensorrt": "cuda", "webgpu": "gpu", "dml": "dml"}
"""Providers whose memory is not the processor's, and what onnxruntime calls it."""
DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(uint16)": "uint16",
    "tensor(int16)": "int16",
    "tensor(bool)": "bool",
}
EXACT_INTEGERS = "session.x64quantprecision"
"""onnxruntime's option for x86 that computes products of uint8 and int8 as those of uint8 and uint8: exact on every
processor, but less than half as fast as VNNI, which needs it not."""
CUT_OFF = (
    "its layers share weights in 8-bit integers: on this processor, without VNNI, onnxruntime cuts sums of their "
    "products off at 16 bits; graphc compile --int8 --reduce-range makes a file in which these fit"
)
"""Notice of a session that could not be had with EXACT_INTEGERS."""
PRODUCT = (
    b'\x08\x08:d\n\x1a\n\x01a\n\x01b\x12\x01y"\rMatMulInteger:\x00\x12\x01gZ\x15\n\x01a\x12\x10\n\x0e\x08\x02\x12\n\n\x03'
    b"\x12\x01M\n\x03\x12\x01KZ\x15\n\x01b\x12\x10\n\x0e\x08\x03\x12\n\n\x03\x12\x01K\n\x03\x12\x01Nb\x15\n\x01y\x12\x10\n"
    b"\x0e\x08\x06\x12\n\n\x03\x12\x01M\n\x03\x12\x01NB\x04\n\x00\x10\x11"
)
"""An ONNX model: (uint8[M,K] a, int8[K,N] b) => (int32[M,N] y) { y = MatMulInteger(a, b) }."""

BLOCKS = (
    b'\x08\x08:i\n)\n\x01x\x12\x01y"\x0cReorderInput:\x13com.microsoft.nchwc\x12\x01gZ\x1b\n\x01x\x12\x16\n\x14\x08\x01'
    b"\x12\x10\n\x02\x08\x01\n\x02\x08\x04\n\x02\x08\x01\n\x02\x08\x01b\x1c\n\x01y\x12\x17\n\x15\x08\x01\x12\x11\n\x02\x08"
    b"\x01\n\x03\x12\x01C\n\x02\x08\x01\n\x02\x08\x01B\x04\n\x00\x10\x11B\x17\n\x13com.microsoft.nchwc\x10\x01"
)
"""An ONNX model: (float[1,4,1,1] x) => (float[1,C,1,1] y) { y = com.microsoft.nchwc.ReorderInput(x) }, C being as many
channels as a block has."""
LEAST_BLOCK = 8
"""Of processors that have blocks; where there are none, the model gives its four channels."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of a model."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    """With the batch; a symbolic size is its name, `?` without one."""
    layout: str
    """nhwc or nchw, of an image or a volume; "" for other ranks and for models that do not say."""


class Session:
    """A loaded model; `run` maps arrays by name to arrays by name."""

    def __init__(
        self,
        model: str | Path | bytes,
        provider: str = CPU,
        threads: int | None = None,
        limit: float | None = None,
        *,
        verbose: bool = False,
    ) -> None:
        """`model`: a path, or a serialized model; `provider`: as `graphc.providers` reads it. `limit`: seconds that
        loading and a run may take each. `verbose`: what onnxruntime itself writes is shown."""
        self._ort = _onnxruntime()
        self._limit = limit
        self._severity = WARNING if verbose else FATAL  # what fails is told by an error of ours
        self._held_back = nullcontext if verbose or provider == CPU else held_back
        self._ort.set_default_logger_severity(self._severity)
        with self._held_back():
            wanted = read_providers(self._ort, provider)
        self.providers = tuple(each.short for each in wanted)
        self._is_cut_off = False
        source = model if isinstance(model, bytes) else self_contained(model)
        self.name = "the model" if isinstance(model, bytes) else shown(model)
        try:
            with self._held_back():
                started = start(partial(self._load, source, threads), wanted)
            self._session = started.session
            self.notices = (*started.notices, *((CUT_OFF,) if self._is_cut_off else ()))
            self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
            layout = self.metadata.get("graphc.layout", "")
            self.inputs = tuple(_port(each, layout) for each in self._session.get_inputs())
            behind = self.metadata.get("graphc.output_layout", "nchw" if layout else "")  # files of old: always nchw
            self.outputs = tuple(_port(each, behind) for each in self._session.get_outputs())
        except TimeoutError:
            raise MachineError("G504", f"{self.name} took longer to load than the limit of {limit:g} s") from None
        except GraphcError:
            raise
        except Exception as error:
            message = f"{self.name}: expected an ONNX model, got: {first_line(error)}"
            raise exhausted(error) or WeightsError("G340", message) from None

    def _load(
        self, source: bytes | str, threads: int | None, providers: Sequence[Provider], config: Mapping[str, str]
    ) -> Any:
        """onnxruntime's session, in which processors without VNNI cut no sums of integers off at 16 bits; but where
        layers share weights in integers, onnxruntime 1.32 does not load a file so (AddInitializedOrtValue)."""
        if not cuts_sums_off():
            return self._start(source, threads, providers, config)
        try:
            return self._start(source, threads, providers, {EXACT_INTEGERS: "1", **config})
        except Exception as error:
            if "AddInitializedOrtValue" not in str(error):
                raise
        self._is_cut_off = True
        return self._start(source, threads, providers, config)

    def _start(
        self, source: bytes | str, threads: int | None, providers: Sequence[Provider], config: Mapping[str, str]
    ) -> Any:
        """The session, made in a thread of its own, so that Ctrl-C ends the waiting."""
        options = self._ort.SessionOptions()
        options.log_severity_level = self._severity
        if threads is not None:
            options.intra_op_num_threads = threads
        options.enable_mem_pattern = self._plans_memory()
        options.add_session_config_entry("session.load_model_format", "ONNX")  # what was checked, whatever its bytes
        for key, value in config.items():
            options.add_session_config_entry(key, value)
        named = [(each.name, dict(each.options)) for each in providers]
        load = partial(self._ort.InferenceSession, source, options, providers=named, enable_fallback=0)
        return interruptible(load, "graphc-load", limit=self._limit)

    def _plans_memory(self) -> bool:
        """Whether all values of a run lie in one block, as the run before has shown."""
        return True

    def run(self, feeds: Mapping[str, Array], outputs: list[str] | None = None) -> dict[str, Array]:
        """The outputs [N, ...] (all, or those named) for these inputs [N, ...], by name."""
        self._check(feeds)
        names = outputs or [port.name for port in self.outputs]
        return dict(zip(names, self._interruptible(names, dict(feeds)), strict=True))

    @property
    def batch(self) -> int | None:
        """How many examples the model takes; None: any number."""
        sizes = (port.shape[0] for port in self.inputs if port.shape)
        return next((size for size in sizes if isinstance(size, int)), None)

    def filled(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs [n, ...] of no more examples than the model takes, with the last one repeated until it has enough."""
        count = len(next(iter(feeds.values())))
        rows = np.minimum(np.arange(self.batch or count), count - 1)
        return {name: array[rows] for name, array in feeds.items()}

    def run_all(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs [N, ...] for inputs [N, ...] of any number of examples, whatever the model takes at once."""
        count = len(next(iter(feeds.values())))
        if self.batch in (None, count):
            return self.run(feeds)
        starts = range(0, count, self.batch or count)
        parts = [{name: array[at : at + starts.step] for name, array in feeds.items()} for at in starts]
        results = [self.run(self.filled(part)) for part in parts]
        return {name: np.concatenate([each[name] for each in results])[:count] for name in results[0]}

    def time_runs(self, feeds: Mapping[str, Array], count: int) -> list[float]:
        """Seconds of each of `count` runs with these inputs [N, ...], one after the other."""
        self._check(feeds)
        names, given = [port.name for port in self.outputs], dict(feeds)

        def work() -> list[float]:
            found = []
            for _ in range(count):
                begun = time.perf_counter()
                self._session.run(names, given)
                found.append(time.perf_counter() - begun)
            return found

        try:
            with self._held_back():
                return interruptible(work, "graphc-bench")
        except Exception as error:
            raise exhausted(error) or SpecError("G344", f"{self.name} failed: {first_line(error)}") from None

    def as_read(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs [N, ...] of a float32 model in the types of this one's."""
        types = {port.name: port.dtype for port in self.inputs}
        return {name: array.astype(types.get(name, array.dtype), copy=False) for name, array in feeds.items()}

    def _check(self, feeds: Mapping[str, Array]) -> None:
        """A SpecError where the arrays are not what the model reads."""
        known = [port.name for port in self.inputs]
        for name in feeds:
            if name not in known:
                raise SpecError("G341", f"{self.name} has no input {name!r}{did_you_mean(name, known)}")
        for port in self.inputs:
            if port.name not in feeds:
                raise SpecError(
                    "G341", f"{self.name} expects the input {port.name!r}, found {', '.join(feeds) or 'none'}"
                )
            array = feeds[port.name]
            if str(array.dtype) != port.dtype:
                raise SpecError("G342", f"input {port.name} expects {port.dtype}, found {array.dtype}")
            fits = len(array.shape) == len(port.shape) and all(
                isinstance(size, str) or size == found for size, found in zip(port.shape, array.shape, strict=True)
            )
            if not fits or 0 in array.shape:
                expected = ", ".join(map(str, port.shape))
                found = ", ".join(map(str, array.shape))
                raise SpecError("G343", f"input {port.name} expects the shape [{expected}], found [{found}]")

    def _array(self, name: str, result: Any) -> Array:
        """An output of any shape; a SpecError where it is none: a sequence of tensors, nothing, or of a type of which
        onnxruntime gives the bytes alone."""
        kind = next((port.dtype for port in self.outputs if port.name == name), "")
        maps = isinstance(result, list) and all(isinstance(each, dict) for each in result)
        if not (maps or isinstance(result, np.ndarray | np.generic)) or kind.startswith("tensor(float8"):
            raise SpecError("G344", f"{self.name}: expected a tensor as the output {shown(name)}, found {kind}")
        return np.asarray(result)

    def _interruptible(self, names: list[str], feeds: dict[str, Array]) -> list[Array]:
        """The run, in a thread of its own, so that Ctrl-C and the time limit can end it."""
        options = self._ort.RunOptions()

        def stop() -> None:
            options.terminate = True

        try:
            work = partial(self._session.run, names, feeds, options)
            with self._held_back():
                results = interruptible(work, "graphc-run", limit=self._limit, stop=stop)
        except TimeoutError:
            raise MachineError("G504", f"{self.name} ran longer than the limit of {self._limit:g} s") from None
        except Exception as error:
            raise exhausted(error) or SpecError("G344", f"{self.name} failed: {first_line(error)}") from None
        return [self._array(name, result) for name, result in zip(names, results, strict=True)]


class DeviceSession(Session):
    """A loaded model whose values stay on the provider's device from one run to the next."""

    def __init__(self, model: bytes, provider: str = "cpu", threads: int | None = None) -> None:
        """`model`: serialized; `provider`: as `graphc.providers` reads it."""
        super().__init__(model, provider, threads)
        self._device = DEVICES.get(self.providers[0], "cpu")

    def _plans_memory(self) -> bool:
        """Not on a CPU: what the first run has taken piece by piece stays beside the block, so that a training step of
        a VGG-like net took 390 MB in place of 217."""
        return self.providers[0] != CPU

    def place(self, array: Array) -> Any:
        """A copy of an array of any shape on the device."""
        return self._ort.OrtValue.ortvalue_from_numpy(np.array(array, order="C"), self._device, 0)

    def advance(
        self, placed: Mapping[str, Any], given: Mapping[str, Array], into: Mapping[str, Any], wanted: Sequence[str]
    ) -> dict[str, Array]:
        """One run: inputs that are `placed` and arrays of any shape that are `given`, outputs written `into` what is
        placed, of which none may be an input; the outputs that are `wanted`, as arrays."""
        binding = self._session.io_binding()
        for name, value in placed.items():
            binding.bind_ortvalue_input(name, value)
        for name, array in given.items():
            binding.bind_cpu_input(name, array)
        for name, value in into.items():
            binding.bind_ortvalue_output(name, value)
        for name in wanted:
            binding.bind_output(name, "cpu")
        options = self._ort.RunOptions()

        def stop() -> None:
            options.terminate = True

        try:
            with self._held_back():
                interruptible(partial(self._session.run_with_iobinding, binding, options), "graphc-step", stop=stop)
        except Exception as error:
            raise exhausted(error) or SpecError("G344", f"{self.name} failed: {first_line(error)}") from None
        names = [*into, *wanted]
        return {name: value.numpy() for name, value in zip(names, binding.get_outputs(), strict=True) if name in wanted}


def provider_names(provider: str) -> tuple[str, ...]:
    """The providers that a text names, in short; an error where it is not right, or this machine has none such."""
    return tuple(each.short for each in read_providers(_onnxruntime(), provider))


def onnxruntime_version() -> str:
    """The version that is installed."""
    return str(_onnxruntime().__version__)


@cache
def cuts_sums_off() -> bool:
    """Whether onnxruntime adds two products of uint8 and int8 in 16 bits on this processor, as on x86 without VNNI:
    tried once a process with the largest numbers, whose sums are then too small (a millisecond)."""
    ort = _onnxruntime()
    session = ort.InferenceSession(PRODUCT, providers=["CPUExecutionProvider"])
    a, b = np.full((8, 16), 255, np.uint8), np.full((16, 8), 127, np.int8)
    return bool(np.any(session.run(None, {"a": a, "b": b})[0] != 16 * 255 * 127))


@cache
def channel_block() -> int:
    """How many channels a block of onnxruntime's own layout for convolutions on this processor has; 0: there are none.
    Tried once a process (a millisecond)."""
    ort = _onnxruntime()
    try:
        session = ort.InferenceSession(BLOCKS, providers=["CPUExecutionProvider"])
    except Exception:  # a build without these operators
        return 0
    block = int(session.run(None, {"x": np.ones((1, 4, 1, 1), np.float32)})[0].shape[1])
    return block if block >= LEAST_BLOCK else 0


def interruptible(
    work: Callable[[], T], name: str, *, limit: float | None = None, stop: Callable[[], None] | None = None
) -> T:
    """What `work` gives, done in a thread, so that Ctrl-C ends the waiting at once: onnxruntime listens to no signal.

    `stop` makes it end early, and is waited for; without it the thread is left to itself, which ends with the process.
    A TimeoutError after `limit` seconds.
    """
    results: list[T] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            failures.append(error)

    worker = threading.Thread(target=run, name=name, daemon=True)
    worker.start()
    try:
        worker.join(limit)
        late = worker.is_alive()
    finally:
        if stop is not None:
            stop()
            worker.join()
    if late:
        raise TimeoutError
    if failures:
        raise failures[0]
    return results[0]


def _onnxruntime() -> ModuleType:
    try:
        import onnxruntime  # noqa: PLC0415  (180 ms, and it may be missing)
    except ImportError:
        raise missing_extra("onnxruntime", "ort") from None
    return onnxruntime  # type: ignore[no-any-return]


def _port(given: Any, layout: str) -> Port:
    shape = tuple(size if isinstance(size, (int, str)) else "?" for size in given.shape)
    return Port(given.name, DTYPES.get(given.type, given.type), shape, layout if len(shape) in (4, 5) else "")
