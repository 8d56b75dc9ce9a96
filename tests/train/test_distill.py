"""Distillation: the arithmetic, and a student that learns from a teacher alone."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.data.sources import Npz
from graphc.errors import GraphcError, SpecError
from graphc.train.commands import train
from graphc.train.distill import Teacher, distilled, softened
from graphc.train.losses import SoftmaxCrossEntropy
from graphc.train.recipe import read_recipe


def test_the_gradient_is_the_losss():
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(5, 4)), rng.normal(size=(5, 4)) * 3
    loss, gradient = softened(student, teacher, 2.5)
    direction = rng.normal(size=student.shape)
    step = 1e-5
    ahead, behind = (softened(student + sign * step * direction, teacher, 2.5)[0] for sign in (1, -1))
    assert (ahead - behind) / (2 * step) == pytest.approx((gradient * direction).sum(), rel=1e-7)
    assert loss > 0
    assert softened(teacher, teacher, 2.5)[0] == pytest.approx(0, abs=1e-12)


def test_high_temperatures_compare_logits():
    """Far above the logits the loss is half their squared distance, over the classes (Hinton et al., 2.1)."""
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    student, teacher = (each - each.mean(axis=1, keepdims=True) for each in (student, teacher))
    expected = ((student - teacher) ** 2).sum(axis=1).mean() / (2 * 3)
    assert softened(student, teacher, 1e4)[0] == pytest.approx(expected, rel=1e-3)


def test_examples_without_a_label_have_the_teachers_part_only():
    rng = np.random.default_rng(2)
    prediction, teacher = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    settings = Teacher(path="x", weight=0.25, temperature=3)
    labels = np.array([1, -1, 2, -1])
    known, taught = distilled(SoftmaxCrossEntropy(), settings, prediction, labels, teacher)
    loss = 0.75 * known.value + 0.25 * taught.value
    gradient = 0.75 * known.gradient + 0.25 * taught.gradient
    assert (known.count, taught.count) == (2, 4)
    hard, hard_gradient = SoftmaxCrossEntropy()(prediction[::2], np.array([1, 2]))
    soft, pull = softened(prediction, teacher, 3)
    assert loss == pytest.approx(0.75 * hard + 0.25 * soft)
    np.testing.assert_allclose(gradient[::2], 0.75 * hard_gradient + 0.25 * pull[::2])
    np.testing.assert_allclose(gradient[1::2], 0.25 * pull[1::2])


@pytest.fixture
def taught(project):
    """A trained teacher beside a recipe for its student."""
    train(project / "recipe.yaml", project / "teacher", ["epochs=8"])
    return project


def test_a_student_learns_from_the_teacher_alone(taught):
    """With no weight on the labels, which are all wrong, the student still finds the classes."""
    right = np.load(taught / "train.npz")
    np.savez(taught / "train.npz", x=right["x"], y=(right["y"] + 1) % 3)
    last = train(
        taught / "recipe.yaml", taught / "student",
        ["epochs=8", "teacher={path: teacher/best.onnx, weight: 1.0, temperature: 2}"],
    )  # fmt: skip
    assert last["validation_accuracy"] > 0.8


@pytest.mark.parametrize("workers", [0, 1])
def test_unlabeled_images_are_learned_from(taught, workers):
    whole = np.load(taught / "train.npz")
    np.savez(taught / "few.npz", x=whole["x"][:6], y=whole["y"][:6])
    np.savez(taught / "more.npz", x=whole["x"][6:])
    last = train(
        taught / "recipe.yaml", taught / "student",
        ["epochs=10", "data.train={npz: {path: few.npz}}", "data.unlabeled={npz: {path: more.npz, targets: {}}}",
         "teacher={path: teacher/best.onnx}", f"data.workers={workers}"],
    )  # fmt: skip
    assert last["validation_accuracy"] > 0.8
    assert len(Npz(path="few.npz").load(taught, 10**6)) == 6


NAMED = "data.{0}.npz.classes=[{1}]"


def _named(project, run, order, *more):
    """A run on the three classes in this order: their names, and the numbers that stand for them."""
    names = ("neither", "above", "below")
    for name in ("train", "test"):
        with np.load(project / f"{name}.npz") as data:
            np.savez(project / f"{run}_{name}.npz", x=data["x"], y=np.argsort(order)[data["y"]])
    shown = ", ".join(names[place] for place in order)
    paths = [f"data.{key}.npz.path={run}_{name}.npz" for key, name in (("train", "train"), ("validation", "test"))]
    settings = [*paths, NAMED.format("train", shown), NAMED.format("validation", shown), *more]
    return train(project / "recipe.yaml", project / run, ["epochs=8", *settings])


def test_a_teachers_classes_are_found_by_name(project):
    """A student that learns from the teacher alone counts the classes in another order, and does not see one."""
    assert _named(project, "teacher", [0, 1, 2])["validation_accuracy"] > 0.8
    teacher = "teacher={path: teacher/best.onnx, weight: 1.0, temperature: 2}"
    last = _named(project, "student", [2, 0, 1], teacher)
    assert last["validation_accuracy"] > 0.8
    for name in ("train", "test"):
        with np.load(project / f"{name}.npz") as data:
            kept = data["y"] > 0
            np.savez(project / f"{name}.npz", x=data["x"][kept], y=data["y"][kept])
    (project / "tiny.yaml").write_text((project / "tiny.yaml").read_text().replace("units: 3", "units: 2"))
    for key in ("train", "test"):
        with np.load(project / f"{key}.npz") as data:
            np.savez(project / f"{key}.npz", x=data["x"], y=2 - data["y"])  # below, above
    names = [NAMED.format(key, "below, above") for key in ("train", "validation")]
    last = train(project / "recipe.yaml", project / "fewer", ["epochs=8", *names, teacher])
    assert last["validation_accuracy"] > 0.8


def test_a_class_that_the_teacher_does_not_know(project):
    _named(project, "teacher", [0, 1, 2])
    names = [NAMED.format(key, "neither, abov, below") for key in ("train", "validation")]
    with pytest.raises(
        GraphcError, match=r"a teacher of the class 'abov' \(did you mean 'above'\?\), .* knows neither"
    ):
        train(project / "recipe.yaml", project / "student", [*names, "teacher={path: teacher/best.onnx}"])
    assert not (project / "student").exists()


@pytest.mark.parametrize("said", ["{mean: fit}", "{steps: [rescale, {standardize: {per: channel}}]}"])
def test_nothing_is_fitted_for_a_teacher(project, said):
    """What its images go through was learned when it was trained, on other data."""
    with pytest.raises(SpecError, match=r"expected numbers, as the teacher was trained with, found"):
        train(project / "recipe.yaml", project / "run", [f"teacher={{path: x.onnx, preprocess: {said}}}"])


def test_a_teacher_of_other_classes_is_refused(taught):
    spec = (taught / "tiny.yaml").read_text().replace("units: 3", "units: 4")
    (taught / "other.yaml").write_text(spec)
    with pytest.raises(GraphcError, match=r"teacher's logits for 4 classes, found 16×3"):
        train(taught / "recipe.yaml", taught / "student", ["model=other.yaml", "teacher={path: teacher/best.onnx}"])


def test_unlabeled_images_need_a_teacher(project):
    with pytest.raises(GraphcError, match="expected a `teacher`"):
        read_recipe(project / "recipe.yaml", ["data.unlabeled={npz: {path: more.npz}}"])
