"""The folder of a run that a stranger may have made: its facts, log, checkpoints and arrays."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from graphc.report.compare import judged, seconds_an_epoch
from graphc.report.page.runs import curves
from graphc.train.checkpoint import CheckpointKey, Checkpoints
from graphc.train.commands import resume, train
from graphc.train.fitted import read_fitted
from graphc.train.recipe import read_recipe
from graphc.train.run_folder import RunFolder
from graphc.train.watching import best_record
from graphc.weights.safetensors_file import write_safetensors
from tests.fuzz.harness import Harness

from .arrays import Safetensors
from .specs import RecipeJson

KEY = CheckpointKey(3, 1)
SPEC = """\
graphc: 1
inputs: {image: [N, 4, 4, 1]}
layers:
  - conv2d: {filters: 2, kernel: 3, normalizer: batch_norm}
  - flatten
  - fully_connected: {name: logits, units: 2}
"""
RECIPE = """\
recipe: 1
model: net.yaml
data: {train: {npz: {path: data.npz}}, validation_share: 0.25, preprocess: {steps: [standardize: {per: pixel}]}}
loss: softmax_cross_entropy
optimizer: adam
learning_rate: 0.1
schedule: {reduce_on_plateau: {patience: 1}}
early_stopping: {patience: 9}
batch: 4
epochs: 2
checkpoint_steps: 4
shards: 1
metrics: [accuracy]
"""
UNDER_WAY = str(CheckpointKey(4, 1))
"""The checkpoint that the run is gone on with: one step of the second epoch of three is done."""


@cache
def whole_run() -> Path:
    """The folder of a run, with its data beside it, that stays as long as the process."""
    folder = Path(_kept.name)
    (folder / "net.yaml").write_text(SPEC)
    (folder / "recipe.yaml").write_text(RECIPE)
    rng = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=rng.normal(size=(16, 4, 4, 1)).astype(np.float32), y=np.arange(16) % 2)
    train(folder / "recipe.yaml", folder / "run")
    for path in (folder / "run/checkpoints").iterdir():
        if path.stem != UNDER_WAY:
            path.unlink()
    return folder / "run"


_kept = tempfile.TemporaryDirectory(prefix="graphc-fuzz-")


def signed(data: bytes) -> bytes:
    """A checkpoint's JSON with its checksum, where it is a mapping at all."""
    try:
        content = json.loads(data)
        content.pop("checksum", None)
        text = json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"
        checksum = hashlib.sha256(text).hexdigest()
        return json.dumps({**content, "checksum": checksum}, indent=1, sort_keys=True).encode() + b"\n"
    except (ValueError, AttributeError, TypeError, RecursionError):
        return data


class OfRun(Harness):
    is_text = True
    suffix = ".json"
    file: str
    """Below the run's folder."""

    def seeds(self) -> Sequence[bytes]:
        return [(whole_run() / self.file).read_bytes()]

    def words(self) -> Sequence[bytes]:
        seed = yaml.safe_load(self.seeds()[0].decode().split("\n")[0] or "{}") if self.suffix == ".jsonl" else None
        return [json.dumps(key).encode() for key in seed or ("step", "epoch", "format", "spec", "classes")]


class CheckpointFacts(OfRun):
    """Read as a checkpoint, its checksum being right."""

    name = "checkpoint.json"

    def prepare(self) -> None:
        self.path = self.folder / f"{KEY}.json"
        Checkpoints(self.folder).save(KEY, {"params/w": np.ones((2, 3), np.float32)}, {"step": 3, "log_bytes": 10})
        self.seed = self.path.read_bytes()

    def seeds(self) -> Sequence[bytes]:
        return [self.seed]

    def packed(self, data: bytes) -> bytes:
        return signed(data)

    def read(self) -> None:
        Checkpoints(self.folder).latest()


class CheckpointArrays(CheckpointFacts):
    """A checkpoint's arrays, their checksum being right."""

    name = "checkpoint.safetensors"
    is_text = False

    def prepare(self) -> None:
        super().prepare()
        self.path = self.folder / f"{KEY}.safetensors"

    def seeds(self) -> Sequence[bytes]:
        file = io.BytesIO()
        write_safetensors(file, {"params/w": np.ones((2, 3), np.float32), "order": np.arange(4)})
        return [file.getvalue()]

    def words(self) -> Sequence[bytes]:
        return [
            b'"F16"',
            b'"BF16"',
            b'"I64"',
            b'"F8_E4M3"',
            b'"U64"',
            b'"BOOL"',
            b'"dtype":',
            b'"shape":',
            b'"data_offsets":',
        ]

    def packed(self, data: bytes) -> bytes:
        facts = {"format": 1, "data_sha256": hashlib.sha256(data).hexdigest(), "data_bytes": len(data)}
        (self.folder / f"{KEY}.json").write_bytes(signed(json.dumps(facts).encode()))
        return data


class RunFacts(OfRun):
    """run.json."""

    name = "run.json"
    file = "run.json"

    def prepare(self) -> None:
        self.path = self.folder / "run.json"

    def read(self) -> None:
        RunFolder(self.folder).read_facts()


class RunRecipe(RecipeJson):
    """The recipe with every setting written out."""

    name = "run, recipe.json"

    def seeds(self) -> Sequence[bytes]:
        return [(whole_run() / "recipe.json").read_bytes()]


class Log(OfRun):
    """metrics.jsonl, as the report draws it."""

    name = "metrics.jsonl"
    suffix = ".jsonl"
    file = "metrics.jsonl"

    def prepare(self) -> None:
        self.path = self.folder / "metrics.jsonl"

    def seeds(self) -> Sequence[bytes]:
        more = (
            b'{"step": 1, "loss": null, "not_finite": {"loss": "nan"}}\n{"step": 2, "changes": ["batch: 1, now 2"]}\n'
        )
        return [*super().seeds(), more + super().seeds()[0]]

    def read(self) -> None:
        json.dumps(curves(RunFolder(self.folder).records()), allow_nan=False)


class Compared(Log):
    """The same, as `compare` and the dashboard's table read it: the best epoch."""

    name = "metrics.jsonl, compared"

    def read(self) -> None:
        records = [record for record in RunFolder(self.folder).records() if "epoch" in record]
        best = best_record(read_recipe(whole_run() / "recipe.json"), records)
        if best is not None:
            judged(best)


class Timing(OfRun):
    """timing.jsonl, of which `compare` takes the median."""

    name = "timing.jsonl"
    suffix = ".jsonl"
    file = "timing.jsonl"

    def prepare(self) -> None:
        self.path = self.folder / "timing.jsonl"

    def read(self) -> None:
        seconds_an_epoch(RunFolder(self.folder))


class Fitted(Safetensors):
    """What preprocessing has learned."""

    name = "preprocess.safetensors"

    def prepare(self) -> None:
        self.recipe = read_recipe(whole_run() / "recipe.json")

    def seeds(self) -> Sequence[bytes]:
        return [(whole_run() / "preprocess.safetensors").read_bytes()]

    def read(self) -> None:
        read_fitted(self.recipe, self.path)


class Resume(OfRun):
    """A run whose newest checkpoint, in the midst of an epoch, says other things, its checksums being right."""

    name = "resume, checkpoint"
    writes = True
    seconds = 10.0
    mebibytes = 300
    file = f"checkpoints/{UNDER_WAY}.json"

    def prepare(self) -> None:
        self.path = self.folder / f"input{self.suffix}"

    def words(self) -> Sequence[bytes]:
        facts = json.loads(super().seeds()[0])
        return [json.dumps(key).encode() for key in (*facts, *facts["watch"], *facts["plateau"], *facts["settings"])]

    def read(self) -> None:
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(whole_run(), run)
        self.put(run, self.path.read_bytes())
        try:
            resume(run)
        finally:
            shutil.rmtree(run, ignore_errors=True)

    def put(self, run: Path, data: bytes) -> None:
        """Write the input in the run's folder."""
        (run / self.file).write_bytes(signed(data))


class ResumeArrays(Resume):
    """The same of its arrays."""

    name = "resume, arrays"
    suffix = ".safetensors"
    is_text = False
    file = f"checkpoints/{UNDER_WAY}.safetensors"

    def words(self) -> Sequence[bytes]:
        kinds = (b'"F64"', b'"F32"', b'"I64"', b'"shape":[', b'"data_offsets":[')
        return (*kinds, b"params/", b"slots/", b"totals/", b"order", b"epoch/", b"terms/")

    def put(self, run: Path, data: bytes) -> None:
        (run / self.file).write_bytes(data)
        facts = json.loads((run / Resume.file).read_bytes())
        changed = {**facts, "data_sha256": hashlib.sha256(data).hexdigest(), "data_bytes": len(data)}
        (run / Resume.file).write_bytes(signed(json.dumps(changed).encode()))


class ResumeFacts(Resume):
    """A run whose run.json says other things."""

    name = "resume, run.json"
    file = "run.json"

    def words(self) -> Sequence[bytes]:
        facts: dict[str, Any] = json.loads(self.seeds()[0])
        return [json.dumps(key).encode() for key in (*facts, *facts["began"], *facts["began"]["data"])]

    def put(self, run: Path, data: bytes) -> None:
        (run / self.file).write_bytes(data)
