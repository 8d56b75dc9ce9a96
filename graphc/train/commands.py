"""`graphc train`, `resume`, `eval` and `predict`, as functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from graphc.compiler import compile_plan
from graphc.emit.model import write_model
from graphc.errors import Place, Warn, WeightsError, counted, said_once
from graphc.files import digest_of, shown
from graphc.parallel.waiting import answers_within
from graphc.parallel.world import World, check_shards, from_first
from graphc.passes.lints import MEANING, lints
from graphc.system import can_fork
from graphc.train.batch_memory import check_batch_memory
from graphc.train.batching import augmenting, make_batches
from graphc.train.beginning import Changes, beginning
from graphc.train.checkpoint import Checkpoint, CheckpointKey, Checkpoints
from graphc.train.datasets import Sets, read_sets, read_test, said_of
from graphc.train.engine import Engine
from graphc.train.extension import existing_folder, with_epochs
from graphc.train.fitted import save_fitted
from graphc.train.fitting import fitted
from graphc.train.freezing import frozen_plan
from graphc.train.image_values import KEY, as_fact, from_facts
from graphc.train.inputs import training_values
from graphc.train.lints import lints as training_lints
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.predict import predict
from graphc.train.progress import Reporter, Silent
from graphc.train.ranks import check_ranks, existing_run, new_folder, share_state
from graphc.train.read_back import check_read_back
from graphc.train.recipe import dump_recipe, read_recipe
from graphc.train.reproducibility import describe_difference
from graphc.train.run_folder import CATEGORY_IDS, RunFolder
from graphc.train.setup import make_engine, new_state
from graphc.train.signing import metadata_of
from graphc.train.state import BestTracker, TrainState
from graphc.train.step_counts import StepCounts, check_batches
from graphc.train.target_checks import check_inputs
from graphc.train.targets import classes_in
from graphc.train.task import Task, task_of
from graphc.train.trained import DEFAULT, Options, check_answers, load_best, load_weights, task_of_run
from graphc.train.trainer import Trainer
from graphc.train.warm_start import warm_start
from graphc.valid_json import lacking
from graphc.weights import LoadOptions, check_values

OF_STATE = {"step": int, "epoch": int, "position": int, "watch": dict, "log_bytes": int, "settings": dict}
"""What a checkpoint's JSON file says of the training."""
NO_WORKERS = "processes are forked on Linux only: a thread makes the batches in place of {}, the result is the same"


def train(
    recipe_path: Path | str,
    output: Path | str,
    overrides: Sequence[str] = (),
    reporter: Reporter | None = None,
    options: Options = DEFAULT,
) -> dict[str, Any]:
    """Train a recipe in a new folder; the log's last line."""
    recipe, base = read_recipe(recipe_path, overrides), Path(recipe_path).parent
    reporter = reporter or Silent()
    with new_folder(output, options.world) as folder:
        folder.require_new()
        task = task_of(recipe, base)
        check_shards(options.world, task.recipe.shards)
        sets = _read(task, base, options)
        task = fitted(task, sets.train)
        engine = make_engine(task, base, options, sets.train)
        for sentence in sets.said():
            reporter.warn(sentence)
        frozen = frozen_plan(task.plan, engine.learning.frozen_for_good)
        check_batches(frozen, StepCounts.of(task.recipe, len(sets.train)))
        with folder.locked():
            folder.require_new()
            trainer = _begin(engine, base, sets, folder, reporter, options.world)
            with answers_within(options.worker_timeout):
                trainer.fit()
            return _finish(trainer)


def _read(task: Task, base: Path, options: Options) -> Sets:
    """The recipe's sets, whose batches have room in memory."""
    sets = read_sets(task, base, options.max_memory)
    check_batch_memory(task, sets.train, options.max_memory, training=True)
    check_batch_memory(task, sets.validation, options.max_memory)
    return sets


def _begin(engine: Engine, base: Path, sets: Sets, folder: RunFolder, reporter: Reporter, world: World) -> Trainer:
    """A new run in its folder, before its first step."""
    task = engine.task
    recipe, plan = task.recipe, task.plan
    state = new_state(engine)
    if recipe.init_from is not None:
        if folder.written:
            reporter.say(str(warm_start(state.params, recipe, base, plan)))
        share_state(world, state, task)
    trainer = _trainer(engine, state, sets, folder, reporter, world)
    for warning in said_once([*lints(plan, MEANING), *training_lints(plan, engine.task.heads, sets.train)]):
        reporter.warn(warning)
    spec = next(iter(task.spec.texts))
    check_read_back(task, _facts(trainer, sets, spec, base, {}))
    folder.begin(dump_recipe(recipe), task.spec.texts)
    save_fitted(task.preprocessing, folder.preprocess)
    trainer.save()
    began = beginning(recipe, base, task.spec.texts, sets, folder)
    check_ranks(world, task, began)
    folder.write_facts(_facts(trainer, sets, spec, base, began))
    return trainer


def resume(
    run: Path | str,
    reporter: Reporter | None = None,
    options: Options = DEFAULT,
    *,
    epochs: int | None = None,
    data: Path | str | None = None,
) -> dict[str, Any]:
    """Go on with a run from its newest whole checkpoint; the log's last line.

    `epochs`: how many there are to be in all, in place of the recipe's; `data`: the folder that the recipe's paths
    start at, where it has moved. A WeightsError lists what is not as it was when the run began, unless
    `options.accept_changes`.
    """
    reporter = reporter or Silent()
    with existing_run(run, options.world) as folder, folder.locked():
        facts = folder.read_facts()
        checkpoint = _newest_checkpoint(folder, reporter) if folder.written else None
        task, base = task_of_run(folder, facts)
        check_shards(options.world, task.recipe.shards)
        base = base if data is None else existing_folder(data)
        sets = _read(task, base, options)
        began, changes = _changes(task, base, sets, folder, facts)
        check_ranks(options.world, task, began)
        if changes and not options.accept_changes:
            raise changes.refused(folder)
        if epochs is not None:
            done = from_first(options.world, checkpoint.facts["epoch"] if checkpoint else None)
            task = replace(task, recipe=with_epochs(task.recipe, epochs, done, reporter))
        settings = from_first(options.world, checkpoint.facts["settings"] if checkpoint else None)
        engine = make_engine(task, base, options.going_on(settings), sets.train)
        trainer = _trainer(engine, new_state(engine), sets, folder, reporter, options.world)
        if checkpoint is not None:
            _restore(trainer, checkpoint, changes, options.exact)
        share_state(options.world, trainer.state, task)
        if changes:
            _accept(changes, trainer, reporter)
            facts = _facts(trainer, sets, facts["spec"], base, began)
        if changes or data is not None or epochs is not None:
            facts = {**facts, "base": str(base.resolve()), "epochs": task.recipe.epochs}
            folder.write_facts(facts)
        if epochs is not None:
            trainer.state.tracker.waited = 0  # or early stopping would end at once what it had ended
            folder.write_recipe(dump_recipe(task.recipe))
        with answers_within(options.worker_timeout):
            trainer.fit()
        return _finish(trainer)


def _changes(
    task: Task, base: Path, sets: Sets, folder: RunFolder, facts: Mapping[str, Any]
) -> tuple[dict[str, Any], Changes]:
    """(what the run would begin with now, what of it is not as it was)."""
    try:
        began = beginning(task.recipe, base, folder.spec_texts(facts["began"]["texts"]), sets, folder)
        return began, Changes(facts["began"], began, facts.get("epochs"))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise WeightsError("G323", "expected what the run began with", Place(shown(folder.facts))) from None


def _restore(trainer: Trainer, checkpoint: Checkpoint, changes: Changes, exact: bool) -> None:
    """The checkpoint's state, and the folder as it was then."""
    state, recipe = trainer.state, trainer.recipe
    _compare_settings(checkpoint.facts["settings"], trainer.settings, trainer.reporter, exact)
    try:
        state.restore(checkpoint.arrays, checkpoint.facts, recipe.optimizer)
        if changes and changes.of_targets:
            state.tracker = BestTracker(sha256=state.tracker.sha256)
        trainer.check_numbers()
        others = state.others(checkpoint.arrays, recipe.optimizer)
        if changes and changes.of_steps:  # which give up the epoch that is under way
            if others:
                trainer.reporter.warn(f"warning[G327]: left out of the checkpoint: {others}")
        else:
            trainer.check()
            if others:
                raise ValueError(f"expected its arrays alone, found {others}")
    except (KeyError, ValueError, TypeError) as error:
        said = f"the checkpoint is of another network: {shown(str(error))}"
        raise WeightsError("G320", f"{shown(checkpoint.path)}: {said}") from None
    for values in (state.params, state.average):
        check_values(checkpoint.path, values, trainer.task.plan.variables)
    trainer.folder.truncate_log(checkpoint.facts["log_bytes"], state.epoch)
    trainer.checkpoints.tidy(CheckpointKey(state.step, state.epoch))


def _accept(changes: Changes, trainer: Trainer, reporter: Reporter) -> None:
    """Go on with what has changed, and say so in the log, which a checkpoint makes last."""
    state = trainer.state
    if changes.of_steps:
        if trainer.recipe.epochs is not None:
            state.step = state.epoch * trainer.length.epoch_steps
        state.position, state.totals, state.order = 0, {}, np.empty(0, np.int64)
    for change in changes:
        reporter.warn(f"warning[G327]: goes on with a change: {change}")
    trainer.folder.append_changes(state.step, changes)
    trainer.save()


def _facts(trainer: Trainer, sets: Sets, spec: str, base: Path, began: Mapping[str, Any]) -> dict[str, Any]:
    """What run.json says; `spec`: the file's name in the run's folder."""
    recipe, plan = trainer.recipe, trainer.task.plan
    return {
        "spec": spec,
        "base": str(base.resolve()),
        "classes": list(sets.train.classes),
        "target_classes": {target: list(names) for target, names in sets.train.target_classes.items()},
        CATEGORY_IDS: list(sets.train.category_ids),
        KEY: as_fact(training_values(sets.train, plan, recipe.data)),
        "notes": sets.said(),
        "began": began,
    }


def _newest_checkpoint(folder: RunFolder, reporter: Reporter) -> Checkpoint:
    checkpoint, warnings = Checkpoints(folder.checkpoints).latest()
    if checkpoint is None:
        raise WeightsError("G321", f"{folder.checkpoints}: there is no checkpoint")
    facts = checkpoint.facts
    said = lacking(facts, OF_STATE)
    if not said and min(facts["position"], facts["log_bytes"]) < 0:
        said = "expected position and log_bytes from 0 on"
    if not said and checkpoint.path.stem != str(CheckpointKey(facts["step"], facts["epoch"])):
        said = f"expected step and epoch of its name, found step {facts['step']}, epoch {facts['epoch']}"
    if said:
        raise WeightsError("G320", f"{shown(checkpoint.path)}: the checkpoint cannot be used: {said}")
    for warning in warnings:
        reporter.warn(f"{warning}; the one before it is used")
    return checkpoint


def evaluate_run(
    run: Path | str,
    data: Path | str | None = None,
    weights_path: Path | str | None = None,
    options: Options = DEFAULT,
    load: LoadOptions | None = None,
) -> dict[str, Any]:
    """Loss and metrics of a run's best weights on its test set (else what it was validated on); `data`: on the one of
    another recipe; `load`: how a file of weights that is given is read."""
    with existing_run(run, options.world, with_best=weights_path is None) as folder:
        return _evaluate(folder, data, weights_path, options, load)


def _evaluate(
    folder: RunFolder,
    data: Path | str | None,
    weights_path: Path | str | None,
    options: Options,
    load: LoadOptions | None,
) -> dict[str, Any]:
    facts = folder.read_facts()
    task, base = task_of_run(folder, facts)
    recipe, plan = task.recipe, task.plan
    judged = task
    if data is not None:
        other, base = read_recipe(data), Path(data).parent
        as_trained = {"resize": recipe.data.resize, "mask_fill": recipe.data.mask_fill}
        data_there = other.data.model_copy(update=as_trained)
        judged = replace(task, recipe=recipe.model_copy(update={"data": data_there, "seed": other.seed}))
    name, examples = read_test(judged, base, classes_in(facts), from_facts(facts, plan), options.max_memory)
    check_batch_memory(judged, examples, options.max_memory)
    check_shards(options.world, recipe.shards)
    engine = NumpyEngine(task, options.threads, world=options.world)
    task.heads.check(examples)
    check_inputs(examples, recipe.dtype)
    dtype = recipe.dtype
    params = load_weights(plan, weights_path, dtype, load) if weights_path else load_best(plan, folder, dtype)
    batches = make_batches(task, examples, world=options.world)
    try:
        with answers_within(options.worker_timeout):
            found = engine.evaluate(params, batches)
    finally:
        batches.close()
    check_answers({"the loss": np.array(found["loss"])})
    said = said_of(examples)
    return {"set": name, "examples": len(examples), **({"notes": said} if said else {}), **found}


def _trainer(
    engine: Engine, state: TrainState, sets: Sets, folder: RunFolder, reporter: Reporter, world: World
) -> Trainer:
    """A trainer on data that have been checked against the heads."""
    task, recipe = engine.task, engine.task.recipe
    for examples in filter(None, (sets.train, sets.validation)):
        engine.task.heads.check(examples)
        check_inputs(examples, recipe.dtype)
    if recipe.data.workers and not can_fork():
        reporter.warn(str(Warn("G522", NO_WORKERS.format(counted(recipe.data.workers, "worker")))))
    validation = make_batches(task, sets.validation, world=world) if sets.validation is not None else None
    train_batches = make_batches(task, sets.train, augmenting(task, sets.train), training=True, world=world)
    return Trainer(engine, state, train_batches, validation, folder, reporter, engine.bits(), world)


def _finish(trainer: Trainer) -> dict[str, Any]:
    """The best weights compiled; the log's last line, of which ranks other than the first know nothing."""
    folder, task = trainer.folder, trainer.task
    if not folder.written:
        return {}
    plan, facts = task.plan, folder.read_facts()
    expected = trainer.state.tracker.sha256
    if expected and digest_of(folder.best) != expected:
        message = "the best weights are damaged: the file's checksum is not the one that the checkpoint holds"
        raise WeightsError("G328", message, Place(shown(folder.best)))
    params = load_best(plan, folder, "float32")
    metadata = {
        "graphc.spec": task.spec.source,
        "graphc.recipe": dump_recipe(trainer.recipe),
        **metadata_of(task, facts, plan),
    }
    write_model(compile_plan(plan, params, metadata=metadata), folder.onnx)
    epochs = [record for record in folder.records() if "epoch" in record]
    if not epochs:
        raise WeightsError("G324", "expected the records of epochs, found none", Place(shown(folder.log)))
    return epochs[-1]


def _compare_settings(before: Mapping[str, Any], now: Mapping[str, Any], reporter: Reporter, exact: bool) -> None:
    difference = describe_difference(before, now)
    if difference and exact:
        raise WeightsError("G326", f"the checkpoint was written under other settings: {difference}")
    if difference:
        reporter.warn(f"warning[G326]: the last bits may differ from an uninterrupted run's: {difference}")


__all__ = ["Options", "evaluate_run", "predict", "resume", "train"]
