"""The training recipe: what a YAML or JSON file says about how a spec is trained.

A short one:

    recipe: 1
    model: lenet5
    data:
      train: {idx: {images: train-images.gz, labels: train-labels.gz}}
      validation_share: 0.1
    loss: softmax_cross_entropy
    optimizer: adam
    learning_rate: 0.001
    batch: 64
    epochs: 12
    metrics: [accuracy]

Paths start at the recipe's folder. Every setting is in the JSON Schema (`recipe_schema`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, PrivateAttr, Tag, model_validator

from graphc.data.augment import AUGMENTATIONS
from graphc.data.augment.base import Augmentation
from graphc.data.augment.mix import Mix
from graphc.data.preprocess import Preprocess
from graphc.data.resizing import STRETCH, AnyResizing
from graphc.data.sample import MASK
from graphc.data.sources import SOURCES, Source
from graphc.documented import ReadableSchema
from graphc.errors import DataError, Place, SpecError
from graphc.kernels.integers import Form
from graphc.parallel.communicator import NUM_SHARDS
from graphc.settings import LIST, ONE_OR_LIST, WHOLE, OneOf, Settings, ShortFor, validate
from graphc.spec.source import SpecMap, load_file, load_text
from graphc.train.distill import Teacher
from graphc.train.losses import LOSSES, Loss
from graphc.train.metrics import METRICS, Metric
from graphc.train.optimizers import OPTIMIZERS, Optimizer
from graphc.train.pattern_settings import MOST_PATTERNS, Pattern, Patterns, few_letters
from graphc.train.recipe_tree import LIMITS, check_bounds, overridden, place_in, refuse_specs, refuse_zoo_names
from graphc.train.schedules import SCHEDULES, Constant, Schedule, WarmUp

VERSION = 1
MOST_HEADS = 1_000
MOST_STEPS = 100
"""Augmentations."""

AnyLoss: TypeAlias = Annotated[Loss, OneOf(LOSSES)]
AnyMetric: TypeAlias = Annotated[Metric, OneOf(METRICS)]
AnyOptimizer: TypeAlias = Annotated[Optimizer, OneOf(OPTIMIZERS)]
AnySchedule: TypeAlias = Annotated[Schedule, OneOf(SCHEDULES)]
AnyAugmentation: TypeAlias = Annotated[Augmentation | Mix, OneOf(AUGMENTATIONS)]
AnySource: TypeAlias = Annotated[Source, OneOf(SOURCES)]
Positive: TypeAlias = Annotated[int, Field(gt=0, le=1_000_000_000)]
MetricList: TypeAlias = Annotated[
    tuple[AnyMetric, ...], LIST, Field(json_schema_extra={"type": "array", "uniqueItems": True})
]
Metrics: TypeAlias = Annotated[
    Annotated[MetricList, Tag("(list)")] | Annotated[dict[str, MetricList], Tag("(by head)")],
    Discriminator(lambda value: "(by head)" if isinstance(value, dict) else "(list)"),
    Field(json_schema_extra=lambda schema: schema.update(anyOf=schema.pop("oneOf"))),
]
FlipPair: TypeAlias = Annotated[tuple[int | str, int | str], LIST]


class Model(Settings):
    """What is trained."""

    spec: str
    """A spec's path, or its name in the zoo."""
    set: dict[str, Any] = Field(default={})
    """Variables of the spec, as `--set` gives them."""
    until: str | None = None
    """Stop at this layer or end point."""


class Data(Settings):
    """Where examples come from."""

    at_most_one = (("validation", "validation_share"),)

    train: AnySource
    """What is learned from."""
    validation: AnySource | None = None
    """What each epoch is judged by; or:"""
    validation_share: float | None = Field(default=None, gt=0, lt=1)
    """The part of the training set, drawn by the seed, that is held out for validation."""
    test: AnySource | None = None
    """What `graphc eval` reads unless told otherwise."""
    preprocess: Preprocess = Preprocess()
    """What happens to inputs before the network."""
    preprocess_inputs: dict[str, Preprocess] = Field(default={})
    """The same for single inputs of a network with several, by name."""
    augment: Annotated[tuple[AnyAugmentation, ...], LIST, Field(max_length=MOST_STEPS)] = ()
    """What happens to training examples and their annotations, in order; mixup and cutmix come last."""
    unlabeled: AnySource | None = None
    """More images to learn from, without labels: they need a `teacher`."""
    min_visibility: float = Field(default=0.25, ge=0, le=1)
    """Part of a box that augmentation must leave in the picture, or the box is no longer there."""
    resize: AnyResizing = STRETCH
    """How images of files get the size that is wanted, here, in prediction and in `graphc run`."""
    mask_fill: int | None = Field(default=None, ge=-(2**31) + 1, lt=2**31)
    """Class of the pixels that come into masks from outside of the image; default: the one that the loss ignores
    (`ignore`), else class 0."""
    flip_pairs: Annotated[tuple[FlipPair, ...] | None, LIST] = None
    """Key points that change places when an image is flipped, as numbers counted from 0, or by the names that a COCO
    file gives them: `[[left_eye, right_eye], [3, 4]]`; default: those whose names differ in left and right."""
    coordinates: Literal["relative", "pixels"] = "relative"
    """Boxes and key points as shares of the image's width and height, or in pixels."""
    stratified: bool = False
    """Draw the validation share from each class alike."""
    balanced: bool = False
    """Show every class as often as any other: examples of small classes come several times an epoch."""
    workers: int = Field(default=0, ge=0, le=64)
    """Processes that decode and augment ahead of training; 0: one thread. The bits are the same for any number.
    They need Linux; elsewhere the thread does their work."""

    def preprocess_of(self, name: str) -> Preprocess:
        """What is said of an input's preprocessing."""
        return self.preprocess_inputs.get(name, self.preprocess)

    @model_validator(mode="after")
    def _fits(self) -> Data:
        mixing = [isinstance(step, Mix) for step in self.augment]
        if mixing != sorted(mixing):
            raise ValueError("augment: expected mixup and cutmix after all else: they mix finished examples")
        for source in (self.train, self.validation, self.test):
            if (size := getattr(source, "size", None)) is not None:
                self.resize.check(size)
        return self


class Head(Settings):
    """A loss on one of the network's values."""

    output: str
    """An output, an end point or a layer of the spec."""
    loss: AnyLoss
    """How far the prediction is from the target."""
    target: str = "label"
    """Which of the data's targets it is compared with."""
    weight: float = Field(default=1.0, ge=0)
    """Factor in the sum of all losses."""
    example_weights: str | None = None
    """A target of the data that weighs the examples."""


class Clip(Settings):
    """Gradients made shorter where they are too long (PyTorch's norm clipping: length + 1e-6)."""

    global_norm: float | None = Field(default=None, gt=0)
    """Longest that all gradients together may be."""
    variable_norm: float | None = Field(default=None, gt=0)
    """Longest that each variable's gradient may be."""


class Ema(Settings):
    """An exponential moving average of the variables, used for validation and for what is kept as best."""

    decay: float = Field(default=0.999, gt=0, lt=1)
    """Share of the average that is kept at each step."""
    ramp: bool = True
    """Begin with a smaller decay, min(decay, (1 + step)/(10 + step)), as TensorFlow can."""


class InitFrom(Settings):
    """Weights to begin with, from a file."""

    path: str
    """.safetensors, .npz, .ckpt, .pth, .h5, .keras or .onnx."""
    include: Patterns = ("*",)
    """Variables to take, by name (`*` stands for anything, `/` too)."""
    exclude: Patterns = ()
    """Variables not to take."""
    rename: Annotated[dict[str, str], Field(max_length=MOST_HEADS)] = Field(default={})
    """Beginning of a variable's name in the spec -> beginning of its name in the file."""
    source: str | None = None
    """Whose weights they are, where names do not tell: torchvision, or timm:resnet50."""
    map: str | None = None
    """YAML or JSON: its names of modules, and ours."""
    ema: bool = False
    """Take the moving averages that the file has of its variables."""


class Freeze(Settings):
    """Variables that stay as they are."""

    pattern: Pattern
    """Which, by name (`*` stands for anything, `/` too)."""
    until_epoch: Positive | None = None
    """They learn after so many epochs; null: never."""


class EarlyStopping(Settings):
    """End when the watched number has not become better for a while."""

    patience: Positive = 5
    """Validations without an improvement."""
    min_delta: float = Field(default=0.0, ge=0)
    """What counts as an improvement."""


class FakeQuantization(Settings):
    """Training with the rounding of 8-bit integers, as `graphc compile --int8` will have it."""

    form: Form = "asymmetric"
    """As --int8 has it: `symmetric` for TensorRT."""
    in_float: Patterns = ()
    """Layers that stay in float: names with `*` and `?`, `first`, `last`."""
    decay: float = Field(default=0.99, ge=0, lt=1)
    """Of the ranges: range*decay + the batch's*(1 - decay)."""


class Recipe(Settings):
    """How a spec is trained."""

    exactly_one = (("loss", "heads"), ("epochs", "steps"))

    recipe: Annotated[Literal[1], WHOLE]
    """Version of this format."""
    model: Annotated[Model, ShortFor("spec")]
    """The spec: a path or zoo name, or a mapping with `spec` and `set`."""
    data: Data
    """Training, validation and test set."""
    loss: AnyLoss | None = None
    """The loss of the only output, or of the one named logits."""
    heads: Annotated[tuple[Head, ...], LIST, Field(max_length=MOST_HEADS)] = ()
    """Instead of `loss`: losses of several outputs."""
    optimizer: AnyOptimizer
    """What turns gradients into updates."""
    learning_rate: float = Field(ge=0)
    """The base rate, times schedule and warm-up."""
    schedule: AnySchedule = Constant()
    """How the rate changes."""
    warm_up: WarmUp | None = None
    """A ramp at the beginning."""
    batch: Positive = 32
    """Examples in a batch."""
    accumulate: Positive = 1
    """Batches whose gradients are averaged into one step."""
    drop_last: bool = False
    """Leave out the last batch of an epoch where it is not full."""
    epochs: Positive | None = None
    """How often the training set is gone through; or:"""
    steps: Positive | None = None
    """How many steps in all."""
    example_weights: str | None = None
    """A target of the data that weighs the examples; of `heads`, where they name no other."""
    metrics: Metrics = ()
    """What is reported besides the loss: a list, of the first head; or a list for each head, by its name."""
    validate_every: Positive = 1
    """Epochs between validations; the last epoch always has one."""
    monitor: str | None = None
    """`loss` or a metric: what `best` and early stopping look at. Default: the first metric, else the loss."""
    early_stopping: EarlyStopping | None = None
    """End before the last epoch."""
    clip: Clip = Clip()
    """Limits for gradients."""
    multipliers: Annotated[dict[Pattern, float], Field(max_length=MOST_PATTERNS), AfterValidator(few_letters)] = Field(
        default={}
    )
    """Learning-rate factors by variable name pattern (`*/logits/*`); the first that fits counts."""
    freeze: Annotated[
        tuple[Annotated[Freeze, ShortFor("pattern")], ...], ONE_OR_LIST, Field(max_length=MOST_PATTERNS)
    ] = ()
    """Patterns of variables that stay as they are, moving averages too; `until_epoch` lets them learn later."""
    ema: Ema | None = None
    """Keep a moving average of the variables."""
    init_from: InitFrom | None = None
    """Weights to begin with."""
    fake_quantize: FakeQuantization | None = None
    """Round weights and values as 8-bit integers will: `{}`, best on weights that have learned (`init_from`)."""
    teacher: Teacher | None = None
    """A larger network whose answers are learned too."""
    log_steps: Positive | None = None
    """Steps between lines in the log inside an epoch; there is one an epoch anyway."""
    checkpoint_steps: Positive | None = None
    """Steps between checkpoints inside an epoch; there is one after each epoch anyway."""
    shards: int = Field(default=NUM_SHARDS, ge=1, le=64)
    """Of a batch, each trained by a processor of its own where there are so many. The last bits depend on it."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Of initial weights, order, dropout."""
    dtype: Literal["float32", "float64"] = "float32"
    """Of weights and arithmetic."""
    tensorboard: bool = False
    """Write event files too (extra: tb)."""
    _tree: SpecMap | None = PrivateAttr(default=None)
    """The file's contents, which know their lines."""

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        few_letters([each.pattern for each in self.freeze])
        if self.data.unlabeled is not None and (
            self.teacher is None or any(isinstance(s, Mix) for s in self.data.augment)
        ):
            raise ValueError("data.unlabeled: expected a `teacher`, and neither mixup nor cutmix")
        if self.teacher is not None and self.loss is None:
            raise ValueError("teacher: expected a single `loss`, not `heads`")
        names = [each.name for each in self.named_metrics]
        if len(names) > MOST_HEADS:
            raise ValueError(f"metrics: expected at most {MOST_HEADS:,}, found {len(names):,}")
        if len(set(names)) < len(names):
            raise ValueError(f"expected each metric once, found {', '.join(names)}")
        numbers = ["loss", *(each.name for each in self.named_metrics if each.metric.is_number)]
        if self.monitor not in (None, *numbers):
            raise ValueError(f"monitor: expected one of {', '.join(numbers)}, found {self.monitor!r}")
        return self

    @property
    def named_metrics(self) -> tuple[NamedMetric, ...]:
        """Every metric with its name in the log: `accuracy`, or `accuracy_HEAD` where metrics are written by head."""
        if isinstance(self.metrics, tuple):
            return tuple(NamedMetric(m.name, m, None, ("metrics", n)) for n, m in enumerate(self.metrics))
        return tuple(
            NamedMetric(f"{metric.name}_{head}", metric, head, ("metrics", head, number))
            for head, metrics in self.metrics.items()
            for number, metric in enumerate(metrics)
        )

    @property
    def mask_fill(self) -> int:
        """The class of pixels that come into masks from outside of the image."""
        if self.data.mask_fill is not None:
            return self.data.mask_fill
        ignored = {head.loss.ignored for head in self.heads if head.target == MASK}
        only = ignored.pop() if len(ignored) == 1 else None
        return 0 if only is None else only

    @contextmanager
    def placing(self, keys: Sequence[int | str], of_key: bool = False) -> Iterator[None]:
        """An error without a place gets that of what the recipe's file says at these keys."""
        try:
            yield
        except (SpecError, DataError) as error:
            error.place = error.place or self.place_of(keys, of_key)
            raise

    def place_of(self, keys: Sequence[int | str], of_key: bool = False) -> Place | None:
        """Where the recipe's file says what is at these keys; None where it has no file."""
        return None if self._tree is None else place_in(self._tree, keys, of_key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class NamedMetric:
    """A metric of a recipe."""

    name: str
    """In the log."""
    metric: Metric
    head: str | None
    """The head that it judges; None: the first."""
    keys: tuple[int | str, ...]
    """Where the recipe says it."""


def read_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a file; `overrides` are `key.path=value` as on the command line."""
    refuse_zoo_names(path)
    return recipe_from_tree(load_file(path, LIMITS, number_keys=True), str(path), overrides)


def read_recipe_text(text: str | bytes, path: str = "recipe.yaml", overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a text; `path` is what errors call it."""
    return recipe_from_tree(load_text(text, path, LIMITS, number_keys=True), path, overrides)


def recipe_from_tree(tree: Any, path: str, overrides: Sequence[str] = ()) -> Recipe:
    refuse_specs(tree, path)
    for override in overrides:
        tree = overridden(tree, override)
    check_bounds(tree)
    recipe = validate(Recipe, tree, lambda keys, of_key: place_in(tree, keys, of_key))
    recipe._tree = tree
    return recipe


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of recipes, for editors."""
    schema = Recipe.model_json_schema(schema_generator=ReadableSchema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "graphc training recipe"}


def dump_recipe(recipe: Recipe) -> str:
    """The recipe with every setting written out, as JSON; reading it gives the recipe again."""
    return json.dumps(recipe.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
