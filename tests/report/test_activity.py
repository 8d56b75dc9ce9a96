"""Feature-map health and effective receptive fields, on maps whose illness is known."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from graphc import initializers
from graphc.report.page.activity import activity
from graphc.report.page.health import advice, check, count_twins
from graphc.report.page.tiles import mosaic
from tests.passes.specs import plan_of

NET = """
    inputs: {image: [N, 16, 16, 3]}
    layers:
      - conv2d: {name: a, filters: 8, kernel: 3, activation: relu}
      - conv2d: {name: b, filters: 4, kernel: 3, activation: tanh}
      - global_avg_pool2d
      - fully_connected: {name: logits, units: 2}
    """


@pytest.fixture(name="rng")
def make_rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_dead_and_doubled_maps_are_counted(rng: np.random.Generator) -> None:
    planned = plan_of(NET).nodes[1]
    values = rng.normal(size=(2, 16, 16, 8))
    values[..., 2] = 0
    values[..., 5] = 3
    values[..., 7] = -2 * values[..., 0] + 1
    health = check(planned, values)
    assert (health.maps, health.dead, health.twins) == (8, 2, 1)
    assert health.saturated is None
    assert "same everywhere" in advice([health])[0]
    assert "repeat another" in advice([health])[1]


def test_saturation_is_a_share(rng: np.random.Generator) -> None:
    planned = plan_of(NET).nodes[3]
    values = np.tanh(rng.normal(size=(1, 16, 16, 4)) * 0.1)
    values[:, :8] = 0.99
    health = check(planned, values)
    assert health.saturated == 0.5
    assert any("flat part" in words for words in advice([health]))


def test_a_sound_layer_gets_no_advice(rng: np.random.Generator) -> None:
    planned = plan_of(NET).nodes[1]
    assert "No layer" in advice([check(planned, rng.normal(size=(2, 16, 16, 8)))])[0]


def test_twins_are_counted_once(rng: np.random.Generator) -> None:
    one = rng.normal(size=(100, 1))
    assert count_twins(np.hstack([one, one, 2 * one, rng.normal(size=(100, 1))])) == 2


def test_everything_on_a_small_net(rng: np.random.Generator) -> None:
    plan = plan_of(NET)
    params = initializers.initial_values(plan.variables, 0)
    found = activity(plan, params, {"image": rng.normal(size=(2, 16, 16, 3)).astype(np.float32)})
    assert [each["words"] for each in found["maps"]] == ["a/Relu", "b/Tanh"]
    assert found["filters"][0]["words"].startswith("a: 8 of 8")
    assert {row["layer"] for row in found["health"]} >= {"a/Relu", "b/Tanh"}
    first = found["fields"][0]["image"].partition(",")[2]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(first))))
    rows, columns = np.nonzero(picture)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 9, 7, 9)  # 3×3 around the middle, 8


def test_mosaic_keeps_every_picture() -> None:
    maps = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((3, 2, 2), np.uint8)
    sheet = mosaic(maps, 2)
    assert sheet.shape == (5, 5)
    assert [sheet[0, 0], sheet[0, 3], sheet[3, 0], sheet[3, 3], sheet[2, 0]] == [0, 1, 2, 255, 255]
