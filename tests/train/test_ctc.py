"""Labels in order: the loss against all paths counted one by one and against PyTorch's, what is read, and the way of
texts from files to the loss and back."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from graphc.cli import cli
from graphc.data.alphabet import Alphabet, padded
from graphc.data.sources import Npz
from graphc.data.target_kind import TargetKind
from graphc.data.wanted import Want, Wanted
from graphc.errors import DataError, GraphcError, SpecError
from graphc.signature import OutputSignature
from graphc.train.commands import predict, train
from graphc.train.losses import Ctc
from graphc.train.losses.ctc import steps_needed
from graphc.train.metrics import CharacterErrorRate, Head, SequenceAccuracy
from graphc.train.metrics.texts import edit_distance

rng = np.random.default_rng(7)


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    return [label for label, _ in itertools.groupby(path) if label != blank]


@pytest.mark.parametrize("blank", [0, 2])
def test_the_loss_is_the_sum_over_all_paths(blank: int) -> None:
    logits = rng.normal(size=(5, 4, 3)) * 2
    one, other = (label for label in range(3) if label != blank)
    rows = [[one], [one, one], [one, other], [other, one, other], []]
    losses, _, _ = Ctc(blank=blank).elements(logits, padded(rows))
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    for example, (row, loss) in enumerate(zip(rows, losses, strict=True)):
        paths = [path for path in itertools.product(range(3), repeat=4) if collapsed(path, blank) == row]
        total = sum(math.prod(p[example, step, label] for step, label in enumerate(path)) for path in paths)
        assert loss == pytest.approx(-math.log(total), rel=1e-12)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_the_loss_and_its_gradient_are_those_of_torch(zero_infinity: bool) -> None:
    torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
    logits = rng.normal(size=(6, 12, 5)) * 3
    rows = [[1, 2, 3], [4, 4, 4, 4], [2], [], [1, 2, 1, 2, 1], [3] * (7 if zero_infinity else 6)]
    targets = padded(rows)
    losses, gradient, _ = Ctc(zero_infinity=zero_infinity).elements(logits, targets)
    theirs = torch.from_numpy(logits).requires_grad_()
    found = torch.nn.functional.ctc_loss(
        theirs.log_softmax(-1).transpose(0, 1),
        torch.from_numpy(np.maximum(targets, 0)),
        torch.full((6,), 12),
        torch.tensor([len(row) for row in rows]),
        reduction="none",
        zero_infinity=zero_infinity,
    )
    found.sum().backward()
    np.testing.assert_allclose(losses, found.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=0, atol=1e-10)


def test_what_cannot_be_is_infinite_or_nothing() -> None:
    logits, target = np.zeros((2, 2, 3)), np.array([[1, 1], [1, 2]])
    assert steps_needed(target).tolist() == [3, 2]
    assert np.isinf(Ctc().elements(logits, target)[0]).tolist() == [True, False]
    losses, gradient, _ = Ctc(zero_infinity=True).elements(logits, target)
    assert losses[0] == 0
    assert not gradient[0].any()
    assert gradient[1].any()


def test_long_sequences_do_not_underflow() -> None:
    logits = np.zeros((1, 2000, 3), np.float32)
    logits[..., 0] = 30
    value, gradient = Ctc()(logits, np.array([[1, 2] * 40]))
    assert 80 * 25 < value < 80 * 31
    assert np.isfinite(gradient).all()


def test_labels_that_are_none_are_named() -> None:
    for bad in (0, 3, -2):
        with pytest.raises(DataError, match=f"expected labels from 0 to 2 other than the blank, 0, got {bad}"):
            Ctc()(np.zeros((1, 4, 3)), np.array([[1, bad]]))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (Ctc(blank=4), "blank: expected one of the 4 outputs of logits, found 4"),
        (Ctc(alphabet="aba"), "alphabet: expected each character once, found 'a' again"),
        (Ctc(alphabet="ab"), "alphabet: expected 3, since logits has 4 outputs and one is the blank; found 2 char"),
    ],
)
def test_settings_that_do_not_fit_are_named(loss: Ctc, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        loss.check((7, 4), "logits")


def test_a_vector_is_no_sequence() -> None:
    with pytest.raises(SpecError, match="ctc expects steps×labels of two labels or more, logits gives 10"):
        Ctc().check((10,), "logits")


def test_a_text_there_and_back() -> None:
    for blank, labels in ((0, [1, 2, 1]), (1, [0, 2, 0]), (2, [0, 1, 0])):
        alphabet = Alphabet(characters="ab", blank=blank)
        assert alphabet.labels("aba") == labels
        assert alphabet.text(labels) == "aba"
        path = [labels[0], labels[0], blank, labels[0], labels[1], blank]
        assert alphabet.text(alphabet.read(np.eye(3)[path])) == "aab"


@pytest.mark.parametrize(
    ("characters", "found"), [("ab", {"text": "ba"}), ("", {"labels": [2, 1]}), ("a", {"labels": [2, 1]})]
)
def test_labels_without_characters_are_said_as_numbers(characters: str, found: dict[str, object]) -> None:
    signature = OutputSignature(codes=Alphabet(characters=characters))
    assert signature.described(np.eye(3)[[2, 2, 0, 1]], 1) == found


def test_edit_distance_is_that_of_the_table() -> None:
    def table(a: list[int], b: list[int]) -> int:
        rows = [[i + j if not i * j else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
        for i, j in itertools.product(range(1, len(a) + 1), range(1, len(b) + 1)):
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
        return rows[-1][-1]

    for _ in range(200):
        a, b = (rng.integers(0, 3, rng.integers(0, 7)).tolist() for _ in range(2))
        assert edit_distance(a, b) == table(a, b), (a, b)


def test_metrics_read_the_highest_of_each_step() -> None:
    head = Head((5, 4), Ctc())
    paths = [[1, 1, 0, 2, 2], [3, 0, 3, 3, 0], [0, 0, 0, 0, 0]]
    prediction, target = np.eye(4)[paths], padded([[1, 2], [3, 2, 3], [1]])
    found = {}
    for metric in (CharacterErrorRate(), SequenceAccuracy()):
        totals = metric.start(head)
        metric.add(totals, prediction[:2], target[:2], head)
        metric.add(totals, prediction[2:], target[2:], head)
        found[metric.kind] = metric.result(totals, head)
    assert found == {"character_error_rate": 2 / 6, "sequence_accuracy": 1 / 3}


SPEC = """\
graphc: 1
name: reader
inputs: {image: [N, 4, 12, 1]}
layers:
  - conv2d: {filters: 16, kernel: [4, 3], padding: [[0, 0], [1, 1]], activation: relu}
  - conv2d: {filters: 4, kernel: 1, activation: none}
  - reshape: {name: logits, shape: [12, 4]}
"""
RECIPE = """\
recipe: 1
model: net.yaml
data: {train: %s}
loss: {ctc: {alphabet: abc}}
metrics: [character_error_rate, sequence_accuracy]
optimizer: adam
learning_rate: 0.05
batch: 8
epochs: 15
"""
PATTERNS = {"a": 0, "b": 1, "c": 2}
"""Character -> the row of its bar; a character is three pixels wide."""


def drawn(text: str) -> np.ndarray:
    image = np.zeros((4, 12, 1), np.uint8)
    for place, character in enumerate(text):
        image[PATTERNS[character], 3 * place + 1] = 255
    return image


TEXTS = ["".join(each) for length in (1, 2, 3) for each in itertools.product("abc", repeat=length)]


def trained(folder: Path, source: str) -> Path:
    (folder / "net.yaml").write_text(SPEC, encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE % source, encoding="utf-8")
    train(str(folder / "recipe.yaml"), str(folder / "run"))
    return folder / "run"


def test_texts_of_a_list_are_learned_and_read(tmp_path: Path) -> None:
    with open(tmp_path / "list.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label"])
        for text in TEXTS:
            Image.fromarray(drawn(text)[..., 0]).save(tmp_path / f"{text}.png")
            writer.writerow([f"{text}.png", text])
    run = trained(tmp_path, "{list: {path: list.csv, size: [4, 12], channels: 1}}")
    found = {
        Path(each["input"]).stem: each["text"] for each in predict(run, [str(tmp_path / f"{t}.png") for t in TEXTS])
    }
    assert sum(stem == text for stem, text in found.items()) >= 38
    pytest.importorskip("onnxruntime")
    model = str(tmp_path / "model.onnx")
    assert CliRunner().invoke(cli, ["compile", str(run), "-o", model]).exit_code == 0
    said = CliRunner().invoke(cli, ["run", model, str(tmp_path / "cab.png")]).stdout
    assert json.loads(said)["text"] == found["cab"]


def test_arrays_hold_texts_or_labels(tmp_path: Path) -> None:
    alphabet = Alphabet(characters="abc")
    labels = padded([alphabet.labels(text) for text in TEXTS])
    wanted = Wanted({"label": Want(frozenset({TargetKind.SEQUENCE}), (12, 4), alphabet=alphabet)})
    for target in (np.array(TEXTS), np.array(TEXTS).astype("S3"), labels, labels.astype(np.int8)):
        np.savez(tmp_path / "data.npz", x=np.zeros((39, 1)), y=target)
        found = Npz(path="data.npz").load(tmp_path, 10**6, wanted).targets["label"]
        np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.array([*TEXTS[:-1], "abd"]), "expected characters of the alphabet 'abc', found 'd' in 'abd' at example 38"),
        (np.arange(39), "output: expected labels in order, whole numbers"),
        (
            np.full((39, 2), 4),
            "expected labels from 0 to 3 other than the blank, 0, or -1 behind, found 4 at example 0",
        ),
        (np.tile([1, -1, 2], (39, 1)), "expected -1 behind the last label only, found 2 at example 0"),
        (np.full((39, 7), 1), "expected labels that need at most the 12 steps of a prediction"),
    ],
)
def test_targets_that_do_not_fit_are_named(tmp_path: Path, target: np.ndarray, message: str) -> None:
    np.savez(tmp_path / "data.npz", x=np.stack([drawn(text) for text in TEXTS]), y=target)
    with pytest.raises(GraphcError, match=re.escape(message)):
        trained(tmp_path, "{npz: {path: data.npz}}")
