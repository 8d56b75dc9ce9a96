"""The warning that batch norm's moving statistics are why validation lags behind training."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.kernels.moving_average import initial_share
from graphc.layers.batch_norm import BatchNorm
from graphc.train.commands import train
from graphc.train.run_folder import RunFolder

from .test_watching import Listener

SLOW = "normalizer: {batch_norm: {decay: 0.999, ramp: false}}"


def test_the_weight_of_what_an_average_began_with() -> None:
    assert initial_share(0.9, False, 10) == pytest.approx(0.9**10)
    assert initial_share(0.999, True, 10) == pytest.approx(1 / 92_378)  # 19 choose 9
    assert initial_share(0.999, True, 10**9) == pytest.approx(0, abs=1e-15)
    assert initial_share(0.0, True, 1) == 0


def run(project: Path, normalizer: str, *overrides: str) -> tuple[list[str], list[dict[str, object]]]:
    spec = (project / "tiny.yaml").read_text()
    (project / "tiny.yaml").write_text(spec.replace("normalizer: {batch_norm: {decay: 0.9}}", normalizer))
    said = Listener()
    train(project / "recipe.yaml", project / "run", ("ema=", *overrides), said)
    return said.said, RunFolder(project / "run").records()


def test_slow_statistics_are_said_once_and_logged_each_time(project: Path) -> None:
    """Images of 100 ± 0.5 with their classes in the deviations: without right statistics there is nothing to see."""
    import numpy as np

    for name in ("train.npz", "test.npz"):
        with np.load(project / name) as data:
            np.savez(project / name, x=data["x"] + 100, y=data["y"])
    said, records = run(project, SLOW, "epochs=6")
    (warning,) = [each for each in said if "warning" in each]
    assert warning.startswith("warning[G622]: validation_")
    assert "lags behind training's" in warning
    assert "of what they began with after" in warning
    assert "batches at decay 0.999; set `ramp: true` or a smaller `decay` (conv1/BatchNorm and its like)" in warning
    assert sum("warning" in record for record in records) > 1


def test_nothing_is_said_where_validation_keeps_up(project: Path) -> None:
    said, records = run(project, SLOW.replace("false", "true"), "data.validation.npz.path=train.npz", "epochs=6")
    assert not said
    assert not any("warning" in record for record in records)


@pytest.mark.parametrize(
    ("layer", "batches", "words"),
    [
        (BatchNorm(decay=0.999, ramp=False), 1000, "still hold 37% of what they began with after 1,000 batches"),
        (BatchNorm(decay=0.999, ramp=False), 5000, ""),
        (BatchNorm(decay=0.999), 50, "have seen 50 batches only; train longer, or smaller batches"),
        (BatchNorm(decay=0.999), 100, ""),
        (BatchNorm(frozen=True), 1, ""),
    ],
)
def test_when_statistics_are_young(layer: BatchNorm, batches: int, words: str) -> None:
    assert words in layer.young(batches)
    assert bool(layer.young(batches)) == bool(words)
