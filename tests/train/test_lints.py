"""Warnings before training: no logits for a loss that takes them, outputs that no class has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphc.errors import DataError
from graphc.train.commands import train
from graphc.train.progress import Silent
from tests.train.conftest import RECIPE, SPEC


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def warnings(project: Path, spec: str = SPEC, recipe: str = RECIPE) -> list[str]:
    """What training says before it begins."""
    (project / "tiny.yaml").write_text(spec)
    (project / "recipe.yaml").write_text(recipe)
    said = Said()
    train(project / "recipe.yaml", project / "run", ["epochs=1"], said)
    return [line for line in said.lines if any(code in line for code in ("G244", "G245", "G623", "G624"))]


LAST = "  - fully_connected: {name: logits, units: 3}\n"


def test_a_net_as_it_should_be_has_none(project: Path) -> None:
    assert warnings(project) == []


@pytest.mark.parametrize(
    ("last", "output", "loss", "expected"),
    [
        (
            LAST + "  - softmax: {name: probs}\n",
            "probs",
            "softmax_cross_entropy",
            "softmax_cross_entropy takes logits, logits gives probabilities (softmax): put the loss on logits",
        ),
        (
            LAST.replace("units: 3", "units: 3, activation: relu"),
            "logits",
            "softmax_cross_entropy",
            "logits gives no number below 0 (relu): write activation: none on logits",
        ),
        (
            LAST.replace("logits", "scores") + "  - sigmoid\n  - dropout: {name: last, rate: 0.1}\n",
            "last",
            "softmax_focal",
            "softmax_focal takes logits, logits gives probabilities (sigmoid): put the loss on scores",
        ),
    ],
)
def test_a_loss_that_takes_logits(project: Path, last: str, output: str, loss: str, expected: str) -> None:
    spec = SPEC.replace(LAST, last).replace("{logits: logits}", f"{{logits: {output}}}")
    (warning,) = warnings(project, spec, RECIPE.replace("softmax_cross_entropy", loss))
    assert warning.startswith(f"{project / 'recipe.yaml'}:6:7: warning[G623]: ")
    assert expected in warning


def test_a_head_before_the_softmax_takes_logits(project: Path) -> None:
    spec = SPEC.replace(LAST, LAST + "  - softmax: {name: probs}\n").replace("{logits: logits}", "{probs: probs}")
    recipe = RECIPE.replace("loss: softmax_cross_entropy", "heads: [{output: logits, loss: softmax_cross_entropy}]")
    assert warnings(project, spec, recipe) == []
    assert warnings_again(project, spec.replace("probs: probs}", "probs: probs, logits: logits}"), recipe) == []


def warnings_again(project: Path, spec: str, recipe: str) -> list[str]:
    (project / "run").rename(project / "before")
    return warnings(project, spec, recipe)


def test_a_regression_on_probabilities_is_meant(project: Path) -> None:
    spec = SPEC.replace(LAST, LAST + "  - softmax: {name: probs}\n").replace("{logits: logits}", "{logits: probs}")
    recipe = RECIPE.replace("softmax_cross_entropy", "mean_squared").replace("metrics: [accuracy]\n", "")
    assert warnings(project, spec, recipe) == []


def test_more_outputs_than_classes(project: Path) -> None:
    (warning,) = warnings(project, SPEC.replace("units: 3", "units: 1000"))
    assert warning.startswith(f"{project / 'tiny.yaml'}:12:5: warning[G624]: ")
    assert "logits tells 1,000 classes apart, the training set has 3: " in warning


def test_fewer_outputs_than_classes_are_an_error(project: Path) -> None:
    with pytest.raises(DataError, match=r"expected labels from 0 to 1, found 2|the network tells 2 apart"):
        warnings(project, SPEC.replace("units: 3", "units: 2"))


def test_named_classes_are_counted_by_their_names(project: Path) -> None:
    """Also where the training set has no example of the last."""
    arrays = dict(np.load(project / "train.npz"))
    arrays["y"] = np.minimum(arrays["y"], 1)
    np.savez(project / "train.npz", **arrays)
    named = RECIPE.replace("{path: train.npz}", "{path: train.npz, classes: [a, b, c]}").replace(
        "{path: test.npz}", "{path: test.npz, classes: [a, b, c]}"
    )
    assert warnings(project, recipe=named) == []
    (warning,) = warnings_again(project, SPEC, RECIPE)
    assert "tells 3 classes apart, the training set has 2" in warning


def test_what_check_says_of_the_meaning_is_said_too(project: Path) -> None:
    spec = SPEC.replace(LAST, "  - fully_connected: {name: hidden, units: 9}\n" + LAST)
    (warning,) = warnings(project, spec)
    assert "warning[G245]: hidden: no activation between it and logits" in warning
