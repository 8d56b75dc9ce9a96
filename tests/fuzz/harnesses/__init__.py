"""The catalogue: a line a harness."""

from __future__ import annotations

from tests.fuzz.harness import Harness

from .archives import ClassFolders, Tar, WebDatasetIndex, WebDatasetTar, Zip, ZipMembers
from .arrays import (
    Cifar,
    Cifar100,
    Idx,
    IdxGz,
    Npy,
    Npz,
    NpzHeader,
    NpzMapped,
    Safetensors,
    SafetensorsHeader,
    WeightsNpz,
)
from .checkpoints import (
    Keras,
    KerasArchive,
    KerasNewer,
    Onnx,
    Sharded,
    TensorFlow1,
    TensorFlow1Block,
    TensorFlow2,
    TensorFlow2Block,
    Torch,
    TorchPickle,
)
from .editor import Editor
from .graphs import ImportGraph
from .images import IMAGES, Mask, PngChunks
from .imports import DarknetCfg, DarknetWeights, ImportOnnx
from .lists import Coco, CocoMasks, CsvLabels, CsvList, JsonLines, JsonList
from .models import External, OnnxFile, OnnxRun, OnnxVariables, SignatureText
from .names import Pretrained, Ranges, Rules
from .packages import OrtWeb
from .requests import DashboardRequest
from .runs import (
    CheckpointArrays,
    CheckpointFacts,
    Compared,
    Fitted,
    Log,
    Resume,
    ResumeArrays,
    ResumeFacts,
    RunFacts,
    RunRecipe,
    Timing,
)
from .specs import ExpressionText, RecipeJson, RecipeSettings, RecipeYaml, SpecJson, SpecParts, SpecSettings, SpecYaml

HARNESSES: tuple[type[Harness], ...] = (
    *(SpecYaml, SpecJson, SpecParts, SpecSettings, ExpressionText),
    *(RecipeYaml, RecipeJson, RecipeSettings),
    *(Npz, NpzMapped, NpzHeader, Npy, WeightsNpz, Safetensors, SafetensorsHeader),
    *(Torch, TorchPickle, TensorFlow1, TensorFlow1Block, TensorFlow2, TensorFlow2Block, Sharded, Onnx),
    *(Keras, KerasNewer, KerasArchive),
    *(Idx, IdxGz, Cifar, Cifar100),
    *IMAGES,
    *(PngChunks, Mask),
    *(CsvList, CsvLabels, JsonList, JsonLines, Coco, CocoMasks),
    *(Zip, ZipMembers, Tar, ClassFolders, WebDatasetTar, WebDatasetIndex),
    *(ImportOnnx, ImportGraph, DarknetCfg, DarknetWeights),
    *(OnnxFile, External, OnnxVariables, SignatureText, OnnxRun),
    *(Rules, Pretrained, Ranges),
    *(CheckpointFacts, CheckpointArrays, RunFacts, RunRecipe, Log, Compared, Timing, Fitted),
    *(Resume, ResumeArrays, ResumeFacts),
    *(DashboardRequest, OrtWeb, Editor),
)


def named(name: str) -> type[Harness]:
    """The harness of this name."""
    return next(each for each in HARNESSES if each.name == name)
