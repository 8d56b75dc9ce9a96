"""`graphc run`: files in, an ONNX model, files or JSON out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graphc.data.given_files import Given
from graphc.data.images import AS_BYTES, Decoding, read_sample
from graphc.data.images import read_image as read_pixels
from graphc.data.npz import read_npy
from graphc.data.pixels import MODES
from graphc.data.placement import Placement, placement_of
from graphc.data.sides import PIXEL_LIMIT
from graphc.dims import is_image
from graphc.errors import DataError, SpecError, did_you_mean
from graphc.files import shown
from graphc.lazy import np
from graphc.outputs import as_json, said_of, write
from graphc.runtime import DTYPES, Port, Session
from graphc.signature import InputSignature, OutputSignature, Signature, read_signature
from graphc.train.answers import WRITERS, answer_of, is_folder, write_answers
from graphc.train.drawing import Drawing, check_names
from graphc.types import Array
from graphc.valid_json import dumps


@dataclass(frozen=True, slots=True)
class Scaling:
    """What the command line says of images: (bytes * scale - mean) / std."""

    scale: float | None = None
    """None: 1/255, unless the file says something else."""
    mean: str | None = None
    std: str | None = None

    @property
    def given(self) -> bool:
        return (self.scale, self.mean, self.std) != (None, None, None)


def run_files(
    model: str,
    files: Sequence[str],
    *,
    inputs: Sequence[str] = (),
    output: str,
    provider: str,
    name: str | None,
    scale: float | None,
    mean: str | None,
    std: str | None,
    top: int | None,
    timeout: float | None = None,
    verbose: bool = False,
    say: Callable[[str], None] = lambda message: None,
) -> str:
    """Run the model on one batch of all files (`inputs`: NAME=FILE); the text to print, empty where a file was written.

    A file with a signature is run as its training run predicts, unless the scaling is given.
    """
    session = Session(model, provider, limit=timeout, verbose=verbose)
    for notice in session.notices:
        say(notice)
    signature = read_signature(session.metadata, session.name)
    layouts = {port.name: port.layout for port in session.outputs}
    if name is not None and name not in layouts:
        message = f"expected an output of {session.name} ({', '.join(layouts)}), found {name!r}"
        raise SpecError("G330", f"{message}{did_you_mean(name, layouts)}")
    reader = Reader(session, signature, Scaling(scale, mean, std), say)
    feeds: dict[str, Array] = {}
    rows: list[Row] = []
    for port, paths in files_of_inputs(session, files, inputs).items():
        names, feeds[port.name] = reader.batch(port, paths)
        rows = rows or names
    check_lengths(feeds)
    results = session.run(feeds)
    chosen = {name: results[name]} if name is not None else results
    meanings = {key: each for key, each in signature.outputs.items() if key in chosen}
    for key, meaning in meanings.items():
        check_answer(session.name, key, results[key], meaning, len(rows))
    if meanings and output != "-" and is_folder(output):
        key, meaning = next(iter(meanings.items()))
        say(f"wrote {draw(rows, channels_last(results[key], layouts[key]), meaning, Path(output))}")
        return ""
    if meanings and (output == "-" or Path(output).suffix.lower() in WRITERS):
        values = {key: channels_last(results[key], layouts[key]) for key in meanings}
        return tell(answers(rows, values, meanings, top or 1), output, say)
    if output == "-":
        for key, value in chosen.items():
            if layouts[key]:
                say(said_of(key, value, layouts[key]))
        return as_json(chosen, top)
    say(f"wrote {write(output, chosen, layouts, top)}")
    return ""


def files_of_inputs(session: Session, files: Sequence[str], named: Sequence[str]) -> dict[Port, list[str]]:
    """The files of each input: those named (NAME=FILE), and the others for the one input that is left."""
    ports = {port.name: port for port in session.inputs}
    found: dict[str, list[str]] = {}
    for text in named:
        name, sign, path = text.partition("=")
        if not sign or not path:
            raise SpecError("G331", f"--input expects NAME=FILE, got {text!r}")
        if name not in ports:
            raise SpecError("G341", f"{session.name} has no input {name!r}{did_you_mean(name, ports)}")
        found.setdefault(name, []).append(path)
    left = [name for name in ports if name not in found]
    if files and len(left) == 1:
        found[left.pop()] = list(files)
    elif files and not left:
        raise SpecError("G331", f"every input of {session.name} is named with --input: {files[0]} is for none")
    if left:
        names = ", ".join(left)
        raise SpecError("G341", f"{session.name} expects files for {names}: give each with --input NAME=FILE")
    return {ports[name]: found[name] for name in ports}


def check_lengths(feeds: Mapping[str, Array]) -> None:
    """An error where inputs [N, ...] have not as many examples."""
    lengths = {name: len(array) for name, array in feeds.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError("G426", f"expected as many examples for every input, got {found}")


def check_answer(model: str, name: str, values: Array, meaning: OutputSignature, count: int) -> None:
    """An error where an output is not what the file's signature says it is: numbers [N, ...] of so many examples, of
    boxes [N, D, 6] or more."""
    boxes = meaning.says != "boxes" or (values.ndim == 3 and values.shape[2] >= 6)
    if values.dtype.kind not in "biuf" or not values.ndim or len(values) != count or not boxes:
        expected = f"[{count}, D, 6]" if meaning.says == "boxes" else f"[{count}, …]"
        found = f"[{', '.join(map(str, values.shape))}] of {values.dtype}"
        message = f"{model}: expected {shown(name)} to be numbers {expected}, as its signature says, found {found}"
        raise SpecError("G349", message)


@dataclass(frozen=True, slots=True)
class Row:
    """What one row of a batch was read from."""

    name: str
    path: str
    placement: Placement | None = None
    """Where an image lies in what the model reads."""


def answers(
    rows: Sequence[Row], values: Mapping[str, Array], meanings: Mapping[str, OutputSignature], top: int
) -> Iterator[dict[str, Any]]:
    """What `predict` says of each row of the values [N, ...]."""
    for index, row in enumerate(rows):
        found = {key: meaning.described(values[key][index], top, row.placement) for key, meaning in meanings.items()}
        yield answer_of(row.name, found)


def draw(rows: Sequence[Row], values: Array, meaning: OutputSignature, folder: Path) -> str:
    """The images with what was found in them, values [N, D, 6], into a folder; what was written, in words."""
    if meaning.says != "boxes":
        raise SpecError("G333", f"a folder takes images with boxes, and the model finds none: got {shown(folder)}")
    files = [Given(Path(row.path), row.name, Path(Path(row.path).name), row.placement) for row in rows]
    check_names(files, folder)
    drawing = Drawing(folder, PIXEL_LIMIT)
    for given, found in zip(files, values, strict=True):
        drawing.add(given, meaning.described(found, 1, given.placement)["boxes"])
    return drawing.said()


def tell(found: Iterator[dict[str, Any]], output: str, say: Callable[[str], None]) -> str:
    """The answers as lines of JSON, or in a file."""
    if output == "-":
        return "".join(dumps(answer) + "\n" for answer in found)
    say(f"wrote {write_answers(found, output)}")
    return ""


def channels_last(array: Array, layout: str) -> Array:
    """An array [N, H, W, C], or [N, C, H, W] with the layout nchw, as [N, H, W, C]; of volumes alike."""
    return np.moveaxis(array, 1, -1) if layout == "nchw" and array.ndim > 2 else array


class Reader:
    """Files as what a model's inputs take."""

    def __init__(
        self,
        session: Session,
        signature: Signature,
        scaling: Scaling,
        say: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._name = session.name
        self._signature = signature
        self._scaling = scaling
        self._say = say

    def batch(self, port: Port, files: Sequence[str]) -> tuple[list[Row], Array]:
        """(what each row is, the rows [N, ...]) of all files, in the input's type."""
        known = self._signature.inputs.get(port.name)
        if known is not None and known.preprocess is None and self._scaling.given:
            message = f"{self._name} preprocesses its images itself: --scale, --mean and --std do not go with it"
            raise SpecError("G331", message)
        if known is not None and self._scaling.given:
            known = None
        elif known is None and not all(path.lower().endswith(".npy") for path in files):
            self._say_what_is_done(port)
        read = [self._read(path, port, known) for path in files]
        arrays = [array for array, _ in read]
        rows = [
            Row(path if len(array) == 1 and not path.lower().endswith(".npy") else f"{path}[{row}]", path, placement)
            for path, (array, placement) in zip(files, read, strict=True)
            for row in range(len(array))
        ]
        return rows, join(arrays, files)

    def _say_what_is_done(self, port: Port) -> None:
        if self._scaling.given:
            return
        done = "bytes are given as they are" if port.dtype == "uint8" else "bytes are divided by 255"
        change = "" if port.dtype == "uint8" else " (--scale, --mean and --std change that)"
        self._say(f"{self._name} does not say how images were preprocessed in training: {done}{change}")

    def _read(self, path: str, port: Port, known: InputSignature | None) -> tuple[Array, Placement | None]:
        """The rows of a file, and where an image lies in them."""
        if path.lower().endswith(".npy"):
            array = read_npy(Path(path))
            if not array.ndim:
                raise DataError("G426", f"{path}: expected examples [N, …], found a single number")
            return given(array[None] if array.ndim == len(port.shape) - 1 else array, port, known, path), None
        shape = channels_last_shape(port) if known is None else known.shape
        placement = None
        if known is None:
            pixels = read_image(path, shape, AS_BYTES)
        else:
            pixels, placement = read_placed(path, known)
        if known is not None:
            prepared = known.prepared(pixels, port.dtype)
        elif port.dtype == "uint8":
            prepared = pixels
        else:
            prepared = self._scaled(pixels.astype(np.float32))
        prepared = prepared.transpose(0, 3, 1, 2) if port.layout == "nchw" else prepared
        return as_type(prepared, port.dtype, path), placement

    def _scaled(self, pixels: Array) -> Array:
        pixels = pixels * np.float32(1 / 255 if self._scaling.scale is None else self._scaling.scale)
        mean = numbers("--mean", self._scaling.mean, 0.0, pixels)
        return (pixels - mean) / numbers("--std", self._scaling.std, 1.0, pixels)


def given(array: Array, port: Port, known: InputSignature | None, path: str) -> Array:
    """Examples [N, ...] of a file of arrays as an input takes them; `known`: what it says of them."""
    if known is not None:
        check_shape(array, known.shape, path)
        array = known.prepared(array, port.dtype)
    return as_type(array, port.dtype, path)


def channels_last_shape(port: Port) -> tuple[int | None, ...]:
    """Height, width and channels that an input takes; None: any."""
    sizes = port.shape[1:] if port.layout == "nhwc" else (*port.shape[2:], *port.shape[1:2])
    return tuple(size if isinstance(size, int) else None for size in sizes)


def check_shape(array: Array, shape: Sequence[int | None], path: str) -> None:
    """An error where examples are not of this shape; None: any."""
    fits = array.ndim == len(shape) + 1 and all(
        size in (None, n) for size, n in zip(shape, array.shape[1:], strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in ("N", *shape))
        found = ", ".join(map(str, array.shape))
        raise DataError("G426", f"{path}: expected examples before preprocessing, [{wanted}], found [{found}]")


def as_type(array: Array, dtype: str, path: str) -> Array:
    """The numbers, of any shape, in an input's type; an error where it cannot hold them."""
    if dtype not in DTYPES.values():
        raise SpecError("G342", f"the model reads {dtype}, and {path} cannot be given as that")
    if str(array.dtype) == dtype:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.ascontiguousarray(array, dtype)
    if np.dtype(dtype).kind == "f" and (np.isinf(found) & ~np.isinf(array)).any():
        raise DataError("G421", f"{path}: expected numbers of {dtype}, got larger ones (as {array.dtype})")
    if np.dtype(dtype).kind in "biu" and not np.array_equal(found, array):
        raise DataError("G421", f"{path}: expected numbers of {dtype}, got others (as {array.dtype})")
    return found


def read_known(path: str, known: InputSignature) -> Array:
    """An image [1, H, W, C], as it was read in training."""
    return read_placed(path, known)[0]


def read_placed(path: str, known: InputSignature) -> tuple[Array, Placement]:
    """The same [1, H, W, C], and where the image lies in what the model reads."""
    decoding = Decoding(pixels=known.max_pixels, resizing=known.resize, values=known.read)
    sample, size = read_sample(Path(path), decoding_of(path, known.shape, decoding))
    moves = known.preprocess is not None and known.preprocess.moves
    moved = known.preprocess.moved(sample) if known.preprocess is not None and moves else sample
    return sample.image[None], placement_of(moved, size)


def read_image(path: str, shape: Sequence[int | None], decoding: Decoding) -> Array:
    """An image [1, H, W, C], with the channels of `shape` (H, W, C), resized where its size is fixed."""
    return read_pixels(Path(path), decoding_of(path, shape, decoding))[None]


def decoding_of(path: str, shape: Sequence[int | None], decoding: Decoding) -> Decoding:
    """The decoding with the channels, and the size where it is fixed, of `shape` (H, W, C)."""
    channels = shape[-1] if is_image(shape) else None
    if channels not in MODES:
        wanted = "×".join("any" if size is None else str(size) for size in shape)
        known = ", ".join(map(str, MODES))
        raise DataError("G422", f"{path}: the model reads {wanted}, not an image of {known} channels; give a .npy")
    height, width = shape[:2]
    size = None if height is None or width is None else (height, width)
    return replace(decoding, channels=channels, size=size)


def numbers(option: str, text: str | None, default: float, pixels: Array) -> Array:
    """One number [], or one a channel of pixels [..., C]: [C]."""
    if text is None:
        return np.float32(default)  # type: ignore[return-value]
    channels = pixels.shape[-1]
    try:
        found = np.array([float(part) for part in text.split(",")], np.float32)
    except ValueError:
        raise SpecError("G331", f"{option} expects numbers with commas, got {text!r}") from None
    if len(found) not in (1, channels) or not np.isfinite(found).all() or (option == "--std" and not found.all()):
        count = "1 number" if channels == 1 else f"1 or {channels} numbers"
        raise SpecError("G331", f"{option} expects {count}{', not 0' if option == '--std' else ''}, got {text!r}")
    return found


def join(arrays: list[Array], files: Sequence[str]) -> Array:
    """Arrays [n, ...] of files, one after the other; an error where their examples have several shapes."""
    for array, path in zip(arrays, files, strict=True):
        if array.shape[1:] != arrays[0].shape[1:]:
            found = f"{files[0]} {arrays[0].shape[1:]} and {path} {array.shape[1:]}"
            raise DataError("G426", f"expected files of one shape, got {found}")
    return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
