"""The report: what is in it, and that it works in a browser that has no network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphc import initializers
from graphc.compiler import plan_spec
from graphc.errors import SpecError
from graphc.graph import Plan
from graphc.report.page import report
from graphc.report.page.build import in_script, page
from graphc.report.seen import seen
from tests.passes.specs import plan_of
from tests.report.browser import FOUND, Browser, browser
from tests.report.test_seen import NETS

needs_chromium = pytest.mark.skipif(FOUND is None, reason="no Chromium: apt-get install chromium")


def report_of(plan: Plan, **more: Any) -> str:
    return page(plan, initializers.initial_values(plan.variables, 0), more)


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


# without a browser -----------------------------------------------------------------------------------------


def test_the_page_is_whole_and_asks_for_nothing() -> None:
    text = report_of(plan_spec("lenet5"))
    assert "{{" not in text.split('<script type="application/json"')[0]
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text)
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    assert "default-src 'none'" in text


def test_the_same_plan_gives_the_same_page() -> None:
    assert report_of(plan_spec("lenet5")) == report_of(plan_spec("lenet5"))


def test_the_facts_are_the_plans() -> None:
    plan = plan_spec("lenet5")
    layers = {layer["name"]: layer for layer in data_of(report_of(plan))["layers"]}
    assert list(layers) == [each.node.name for each in plan.nodes]
    assert layers["conv1"]["params"] == 156
    assert layers["conv1"]["economy"]["sparsity"] == pytest.approx(784 / 25, rel=1e-3)
    assert layers["conv1/Tanh"]["block"] == "conv1"
    assert layers["pool1"]["drift"]["inside"] < 1e-5
    assert ["padding", "same"] in [row[:2] for row in layers["conv1"]["arguments"]]


def test_no_text_ends_the_data_early() -> None:
    assert "".join(in_script({"name": "</script><b>&"})) == '{"name":"\\u003c/script>\\u003cb>\\u0026"}'


def test_what_would_take_minutes_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_MACS", 1000)
    said: list[str] = []
    data = data_of(report.report_spec(plan_spec("lenet5"), None, (), said.append))
    assert all(layer["drift"] is None for layer in data["layers"])
    assert said == ["not measured how outputs move with the image: 417 k MACs an example, the limit is 1.00 k"]


def test_resnet_50_is_small() -> None:
    assert len(report_of(plan_spec("resnet_v1_50")).encode()) < 3_000_000


ODD = {
    "symbolic sizes": "inputs: {image: [N, H, W, 3]}\nlayers: [conv2d: [4, 3], global_avg_pool2d, fully_connected: 10]",
    "no image": "inputs: {x: [N, 7]}\nlayers: [fully_connected: 3, relu]",
    "two inputs": """
        inputs: {a: [N, 16, 16, 3], b: [N, 5]}
        layers:
          - conv2d: {inputs: a, filters: 4, kernel: 3}
          - global_avg_pool2d: {name: g}
          - fully_connected: {name: f, inputs: b, units: 4}
          - concat: {inputs: [g, f]}
        """,
    "an output in the middle": """
        layers: [conv2d: {name: a, filters: 4, kernel: 3}, conv2d: {name: b, filters: 4, kernel: 3}]
        outputs: {one: a, two: b, three: b}
        """,
    "one value twice": "layers: [conv2d: {name: a, filters: 4, kernel: 3}, add: {inputs: [a, a]}]",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_models_have_a_page(name: str) -> None:
    plan = plan_of(ODD[name])
    assert [layer["name"] for layer in data_of(report_of(plan))["layers"]] == [each.node.name for each in plan.nodes]


# in a browser ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="chromium")
def start_chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


def opened(chromium: Browser, folder: Path, plan: Plan, **more: Any) -> Browser:
    path = folder / "report.html"
    path.write_text(report_of(plan, **more), encoding="utf-8")
    chromium.problems.clear()
    chromium.open(path)
    return chromium


@needs_chromium
def test_click_hover_theme_and_keys(chromium: Browser, tmp_path: Path) -> None:
    view = opened(chromium, tmp_path, plan_spec("lenet5"))
    title = "document.querySelector('#detail h3').textContent"

    view.click("#stage .b[data-name=conv2]")
    assert view.evaluate(title) == "conv2"
    assert view.evaluate("document.querySelector('#table tr[aria-selected=true]').dataset.layer") == "conv2"

    view.hover("#stage .b[data-name=conv1]")
    assert "156 parameters" in view.evaluate("document.querySelector('#card').textContent")

    view.click("#table tr[data-layer=logits] td")
    assert view.evaluate(title) == "logits"
    view.press("ArrowUp")
    assert view.evaluate(title) == "fc/fc_2/Tanh"
    view.press("j")
    assert view.evaluate(title) == "logits"

    colour = "getComputedStyle(document.body).backgroundColor"
    before = view.evaluate(colour)
    view.click("#theme")
    assert view.evaluate(colour) != before
    view.press("t")
    assert view.evaluate(colour) == before

    view.press("/")
    for letter in "pool":
        view.press(letter)
    rows = "[...document.querySelectorAll('#table tbody tr')].map(row => row.dataset.layer)"
    assert view.evaluate(rows) == ["pool1", "pool2"]
    assert view.problems == []


@needs_chromium
def test_sorting_puts_the_largest_first(chromium: Browser, tmp_path: Path) -> None:
    view = opened(chromium, tmp_path, plan_spec("lenet5"))
    view.click("#table th:nth-child(5)")
    rows = "[...document.querySelectorAll('#table tbody tr')].map(row => row.dataset.layer)"
    assert view.evaluate(rows)[:3] == ["fc/fc_1", "fc/fc_2", "conv2"]


@needs_chromium
@pytest.mark.parametrize("name", NETS)
def test_the_page_draws_what_is_seen(name: str, chromium: Browser, tmp_path: Path) -> None:
    """The script's way back through the network is the one that the gradient confirms."""
    plan = plan_of(NETS[name])
    view = opened(chromium, tmp_path, plan)
    last = plan.nodes[-1]
    height, width = last.shape[:2]
    assert isinstance(height, int)
    assert isinstance(width, int)
    view.evaluate(f"select({json.dumps(last.node.name)})")
    for row, column in ((0, 0), (height // 2, width - 1), (height - 1, width // 2)):
        view.click("#output svg", (column + 0.5) / width, (row + 0.5) / height)
        drawn = json.loads(view.evaluate("document.querySelector('#seen svg').dataset.region"))
        expected = seen(plan, last.node.name, row, column)[plan.graph.inputs[0].name]
        assert expected is not None
        assert drawn == [list(interval) for interval in expected], (row, column)
    assert view.problems == []


RANKS = {
    "sequence": """
    inputs: {wave: [N, 64, 2]}
    layers:
      - conv1d: {name: one, filters: 4, kernel: 5, stride: 2, padding: [4, 0], activation: relu}
      - conv1d: {name: two, filters: 4, kernel: 3, dilation: 2}
    """,
    "volume": """
    inputs: {clip: [N, 8, 12, 10, 1]}
    layers:
      - conv3d: {name: one, filters: 4, kernel: [3, 5, 5], stride: [1, 2, 2], activation: relu}
      - max_pool3d: {name: two, kernel: 2}
    """,
}


@needs_chromium
@pytest.mark.parametrize("name", RANKS)
def test_sequences_and_volumes_are_drawn_along_every_axis(name: str, chromium: Browser, tmp_path: Path) -> None:
    plan = plan_of(RANKS[name])
    view = opened(chromium, tmp_path, plan)
    view.evaluate("select('two')")
    sizes = [int(str(size)) for size in plan.shapes["two"][:-1]]
    for places in ([0] * len(sizes), [size // 2 for size in sizes], [size - 1 for size in sizes]):
        view.evaluate(f"state.at = {places}; drawField()")
        drawn = json.loads(view.evaluate("document.querySelector('#seen svg').dataset.region"))
        assert drawn == [list(interval) for interval in seen(plan, "two", *places)[plan.graph.inputs[0].name]]
    pictures = "[...document.querySelectorAll('#seen svg')].map(each => each.querySelectorAll('.region').length)"
    assert view.evaluate(pictures) == ([1] if name == "sequence" else [1, 1])
    view.click("#output svg", 0.01, 0.01)
    view.press("ArrowRight")
    words = view.evaluate("document.querySelector('#output-words').textContent")
    assert words.startswith("output (1)" if name == "sequence" else f"output ({sizes[0] - 1}, 0, 1)")
    assert view.problems == []


@needs_chromium
@pytest.mark.parametrize("name", ODD)
def test_odd_models_are_drawn(name: str, chromium: Browser, tmp_path: Path) -> None:
    view = opened(chromium, tmp_path, plan_of(ODD[name]))
    for layer in plan_of(ODD[name]).nodes:
        view.evaluate(f"select({json.dumps(layer.node.name)})")
        assert view.evaluate("document.querySelector('#detail h3').textContent") == layer.node.name
    assert view.problems == []


@needs_chromium
def test_arrow_keys_move_the_output(chromium: Browser, tmp_path: Path) -> None:
    view = opened(chromium, tmp_path, plan_spec("lenet5"))
    view.evaluate("select('conv1')")
    view.click("#output svg", 14.5 / 28, 14.5 / 28)
    words = "document.querySelector('#output-words').textContent"
    before = view.evaluate(words)
    view.press("ArrowRight")
    view.press("ArrowDown")
    assert before.startswith("output (14, 14)")
    assert view.evaluate(words).startswith("output (15, 15)")


@needs_chromium
def test_runs_are_drawn_over_each_other(chromium: Browser, tmp_path: Path) -> None:
    curves = {
        "loss": [[1, 2.0], [2, 1.0]],
        "validation_loss": [[1, 2.5], [2, 1.5]],
        "learning_rate": [[1, 0.1], [2, 0.0]],
    }
    run = {"name": "one", "curves": curves, "classes": ["a", "b"], "confusion": [[5, 1], [0, 4]], "mistakes": []}
    view = opened(chromium, tmp_path, plan_spec("lenet5"), runs=[run, {**run, "name": "two", "confusion": None}])
    titles = "[...document.querySelectorAll('#curves .chart')].map(chart => chart.getAttribute('aria-label'))"
    assert view.evaluate(titles) == ["loss", "learning rate"]
    assert (
        view.evaluate("document.querySelectorAll('#curves .chart')[0].querySelectorAll('.curve[fill], .curve').length")
        == 8
    )
    assert view.evaluate("document.querySelectorAll('.confusion tbody tr').length") == 2
    assert view.problems == []


def test_a_page_of_too_many_layers_is_refused_before_anything_is_drawn_from_the_seed(tmp_path: Path) -> None:
    spec = tmp_path / "long.yaml"
    layers = "layers:\n  - repeat: {times: 15000, layer: relu}\n"
    spec.write_text(f"graphc: 1\ninputs: {{x: [N, 4]}}\n{layers}", encoding="utf-8")
    with pytest.raises(SpecError, match="at most 15,000 layers and outputs, got 15,001"):
        report.report_spec(plan_spec(spec), None, (), print)


def test_how_outputs_move_is_not_measured_of_many_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, said = plan_spec("lenet5"), list[str]()
    monkeypatch.setattr(report, "MOST_MEASURED", len(plan.nodes) - 1)
    text = report.report_spec(plan, None, (), said.append)
    assert said == [f"not measured how outputs move with the image: {len(plan.nodes)} layers, the limit is 11"]
    assert '"drift":null' in text
    assert '"shift"' not in text
