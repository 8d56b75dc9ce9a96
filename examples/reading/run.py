"""A recognizer learns to read lines of digits from the lines and their texts alone.

python examples/reading/run.py [--small] [--out FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import common  # noqa: E402

from graphc.compiler import compile_spec  # noqa: E402
from graphc.data.alphabet import Alphabet  # noqa: E402
from graphc.runtime import Session  # noqa: E402
from graphc.train.metrics.texts import edit_distance  # noqa: E402
from graphc.train.run_folder import RunFolder  # noqa: E402
from graphc.types import Array  # noqa: E402

WIDTH = 72
"""Pixels of the lines that are learned from."""
LINES = {"train": 3000, "test": 500}
LONGER = (7, 12, 24, 48)
"""Digits of lines that are read afterwards."""
ALPHABET = Alphabet(characters="0123456789")


def main() -> dict[str, float]:
    """Character errors on the test's lines, and on longer ones, by what they are called."""
    options = common.arguments(__doc__, HERE)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sources = {}
        for seed, (part, count) in enumerate(LINES.items()):
            texts, lines = lines_of(part, count // 8 if options.small else count, (3, 7), WIDTH, seed)
            np.savez(folder / f"{part}.npz", x=lines, text=np.array(texts))
            sources[part] = {"npz": {"path": str(folder / f"{part}.npz"), "targets": "text"}}
        settings = {"data.train": sources["train"], "data.validation": sources["test"]}
        settings |= {"epochs": 5, "learning_rate": 0.015} if options.small else {}
        run = folder / "run"
        net = common.train(HERE / "recipe.yaml", settings, folder=run)
        found = {"3 to 7 (the test's)": net.last("validation_character_error_rate")}
        model = folder / "reader.onnx"
        compile_spec(HERE / "net.yaml", model, weights_from=RunFolder(run).best)
        session = Session(str(model))
        for digits in LONGER:
            found[str(digits)] = error_rate(session, digits, 20 if options.small else 100)
    common.table(["digits in a line", "character errors"], [[name, f"{rate:.1%}"] for name, rate in found.items()])
    print(f"whole lines of the test without an error: {net.last('validation_sequence_accuracy'):.1%}")
    return found


def lines_of(part: str, count: int, digits: tuple[int, int], width: int, seed: int) -> tuple[list[str], Array]:
    """Texts of so many digits (at least, at most), and their lines [N, 8, width, 1]: scikit-learn's digits of that part
    side by side, with gaps of any width between them."""
    images, labels = common.digits(part)
    rng = np.random.default_rng(seed)
    lines, texts = np.zeros((count, 8, width, 1), np.float32), []
    for line in lines:
        rows = rng.integers(0, len(images), rng.integers(digits[0], digits[1] + 1))
        spare = width - 8 * len(rows)
        gaps = np.diff(np.sort(rng.integers(0, spare + 1, len(rows))), prepend=0)
        place = 0
        for row, gap in zip(rows, gaps, strict=True):
            place += gap
            line[:, place : place + 8] = images[row]
            place += 8
        texts.append("".join(str(labels[row]) for row in rows))
    return texts, lines


def error_rate(session: Session, digits: int, count: int) -> float:
    """Of the compiled file, on lines of so many digits that are as wide as these need."""
    texts, lines = lines_of("test", count, (digits, digits), 10 * digits, digits)
    logits = session.run({"line": lines})["logits"]
    errors: list[Any] = [
        edit_distance(ALPHABET.read(one), ALPHABET.labels(t)) for one, t in zip(logits, texts, strict=True)
    ]
    return float(sum(errors)) / (digits * count)


if __name__ == "__main__":
    common.run(main)
