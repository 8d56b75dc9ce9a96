"""Pictures: golden files, and what must hold for every one of them."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphc.cli import cli
from graphc.compiler import plan_spec
from graphc.report.picture import svg
from graphc.report.picture.blocks import Block, blocks, title
from graphc.report.picture.draw import FORMATS
from graphc.report.picture.items import Fold, Frame, Item, Parallel, Series, Tangle, blocks_of
from graphc.report.picture.structure import structure
from graphc.report.picture.svg import draw_svg
from graphc.spec.zoo import zoo_names
from tests.passes.specs import plan_of
from tests.report.browser import FOUND, Browser, browser

Golden = Callable[[str, str], None]
SVG = "{http://www.w3.org/2000/svg}"
PICTURES = ["lenet5", "vgg_16", "resnet_v1_50", "inception_v3", "unet"]


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(name: str, golden: Golden) -> None:
    golden(f"{name}.svg", draw_svg(plan_spec(name)))


@pytest.mark.parametrize("end", [".dot", ".mmd"])
def test_text_for_other_tools(end: str, golden: Golden) -> None:
    golden(f"lenet5{end}", FORMATS[end](plan_spec("lenet5")))


def test_the_command_writes_what_the_name_asks_for(tmp_path: Path, golden: Golden) -> None:
    target = tmp_path / "net.svg"
    result = CliRunner().invoke(cli, ["draw", "lenet5", "-o", str(target)])
    assert result.exit_code == 0, result.output
    golden("lenet5.svg", target.read_text(encoding="utf-8"))


def test_other_endings_are_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["draw", "lenet5", "-o", str(tmp_path / "net.gif")])
    assert result.exit_code == 2
    assert "net.gif ends in none of .svg, .html, .dot, .mmd, .pdf, .png" in result.output
    assert list(tmp_path.iterdir()) == []


# geometry --------------------------------------------------------------------------------------------------

Rectangle = tuple[float, float, float, float]


def rectangles(picture: ET.Element, kind: str) -> list[Rectangle]:
    """(left, top, right, bottom) of every block (`b`) or frame (`f`)."""
    found = []
    for group in picture.iter(f"{SVG}g"):
        if group.get("class", "").split(" ")[0] == kind and group.get("data-name" if kind == "b" else "class"):
            own = [each for each in group.findall(f"{SVG}rect") if each.get("class") is None]
            x, y, width, height = (float(own[0].attrib[name]) for name in ("x", "y", "width", "height"))
            found.append((x, y, x + width, y + height))
    return found


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def inside(one: Rectangle, other: Rectangle) -> bool:
    return one[0] >= other[0] and one[1] >= other[1] and one[2] <= other[2] and one[3] <= other[3]


@pytest.mark.parametrize("name", zoo_names())
def test_nothing_overlaps_and_nothing_is_cut(name: str) -> None:
    picture = ET.fromstring(draw_svg(plan_spec(name)))
    left, top, width, height = (float(size) for size in picture.attrib["viewBox"].split())
    boxes, frames = rectangles(picture, "b"), rectangles(picture, "f")
    assert boxes
    assert all(inside(box, (left, top, left + width, top + height)) for box in [*boxes, *frames])
    assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]
    crossing = [(box, frame) for box in boxes for frame in frames if overlap(box, frame) and not inside(box, frame)]
    assert not crossing


# structure -------------------------------------------------------------------------------------------------


def shown(items: Series) -> list[object]:
    """A series in short: names, (name, …) of frames, [paths], {count: …} of folds."""
    return [one(item) for item in items]


def one(item: Item) -> object:
    if isinstance(item, Block):
        return item.name
    if isinstance(item, Frame):
        return item.name, *shown(item.items)
    if isinstance(item, Fold):
        return {item.count: shown(item.items)}
    if isinstance(item, Tangle):
        return {block.name for block in item.blocks}
    assert isinstance(item, Parallel)
    return [shown(path.items) for path in item.paths]


def drawing_of(text: str) -> list[object]:
    return shown(structure(blocks(plan_of(text))))[1:-1]  # without input and output


def test_a_convolution_its_normalization_and_activation_are_one_block() -> None:
    plan = plan_of("layers: [conv2d: {name: a, filters: 4, kernel: 3, normalizer: batch_norm, activation: relu}]")
    _, block, _ = blocks(plan)
    assert (block.name, block.title, block.extras) == ("a", "conv2d 3×3, 4", ("batch_norm", "relu"))


def test_what_two_read_is_a_block_of_its_own() -> None:
    text = """
        layers:
          - conv2d: {name: a, filters: 4, kernel: 3}
          - relu: {name: r, inputs: a}
          - add: {inputs: [a, r]}
        """
    assert drawing_of(text) == ["a", [["r"], []], "add"]


def test_equal_layers_are_folded_and_different_ones_are_not() -> None:
    text = """
        layers:
          - repeat: {name: conv1, times: 3, layer: {conv2d: {filters: 8, kernel: 3}}}
          - conv2d: {name: other, filters: 8, kernel: 5}
        """
    assert drawing_of(text) == [{3: ["conv1/conv1_1"]}, "other"]


def test_patterns_are_folded() -> None:
    layers = "conv2d: {filters: 8, kernel: 3}}, {conv2d: {filters: 8, kernel: 5}"
    assert drawing_of(f"layers: [{{repeat: {{name: r, times: 4, layers: [{{{layers}}}]}}}}]") == [
        {4: [("r_1", "r/r_1/conv2d", "r/r_1/conv2d_1")]}
    ]


def test_an_auxiliary_head_ends_beside_the_main_path() -> None:
    text = """
        layers:
          - conv2d: {name: a, filters: 4, kernel: 3}
          - group: {name: aux, layers: [global_avg_pool2d: {name: pool}, fully_connected: {name: fc, units: 2}]}
          - conv2d: {name: b, inputs: a, filters: 4, kernel: 3}
        outputs: {aux: aux, main: b}
        """
    assert drawing_of(text) == ["a", [[], [("aux", "aux/pool", "aux/fc", "output aux")]], "b"]


def test_paths_that_read_from_each_other_are_a_tangle() -> None:
    text = """
        layers:
          - conv2d: {name: a, filters: 4, kernel: 3}
          - conv2d: {name: b, inputs: a, filters: 4, kernel: 1}
          - conv2d: {name: c, inputs: a, filters: 4, kernel: 3}
          - add: {name: d, inputs: [b, c]}
          - conv2d: {name: e, inputs: c, filters: 4, kernel: 5}
          - add: {name: f, inputs: [d, e]}
        """
    assert drawing_of(text) == ["a", {"b", "c", "d", "e"}, "f"]


@pytest.mark.parametrize("name", ["inception_v3", "resnet_v2_50", "nasnet_mobile", "unet"])
def test_every_layer_is_in_the_picture(name: str) -> None:
    """Folds and frames lose nothing."""
    plan = plan_spec(name)
    found = [each.node.name for item in structure(blocks(plan)) for block in blocks_of(item) for each in block.members]
    assert sorted(found) == sorted(each.node.name for each in plan.nodes)


def test_titles() -> None:
    text = """
        layers:
          - conv2d: {filters: 8, kernel: [1, 7], stride: [1, 2], dilation: 1}
          - conv2d: {filters: 8, kernel: 3, dilation: 2, groups: 4}
          - dropout: {rate: 0.25}
        """
    assert [title(each.node.layer) for each in plan_of(text).nodes] == [
        "conv2d 1×7, 8 /1×2",
        "conv2d 3×3, 8 dilated 2 groups 4",
        "dropout, 0.25",
    ]


# in a browser ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="chromium")
def start_chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


FAULTS = """(() => {
    const faults = [], blocks = [], points = [];
    const box = element => { const {x, y, width, height} = element.getBBox(); return [x, y, x + width, y + height]; };
    const meet = (a, b, by) => a[0] < b[2] - by && b[0] < a[2] - by && a[1] < b[3] - by && b[1] < a[3] - by;
    document.querySelectorAll('.b[data-name]').forEach(block => {
        const own = box(block.querySelector('rect:not(.card)'));
        blocks.push(own);
        block.querySelectorAll('text:not(.pilled)').forEach(text => {
            const words = box(text);
            const inside = words[0] >= own[0] && words[2] <= own[2] && words[3] <= own[3] + 1;
            if (!inside) faults.push('leaves its block: ' + text.textContent);
        });
    });
    document.querySelectorAll('.l path:not(.tip)').forEach(line => {
        for (let at = 0; at <= line.getTotalLength(); at += 2) {
            const {x, y} = line.getPointAtLength(at);
            points.push([x, y, x, y]);
        }
    });
    document.querySelectorAll('.f text').forEach(text => {
        if (!text.textContent) return;
        if (blocks.some(block => meet(box(text), block, 3))) faults.push('on a block: ' + text.textContent);
        if (points.some(point => meet(box(text), point, 0))) faults.push('on a line: ' + text.textContent);
    });
    if (points.some(point => blocks.some(block => meet(block, point, 1)))) faults.push('a line in a block');
    const page = document.querySelector('svg').viewBox.baseVal;
    document.querySelectorAll('text').forEach(text => {
        const words = box(text);
        if (words[0] < 0 || words[2] > page.width || words[3] > page.height) faults.push('cut: ' + text.textContent);
    });
    return [faults, blocks.length, points.length];
})()"""


@pytest.mark.skipif(FOUND is None, reason="no Chromium: apt-get install chromium")
@pytest.mark.parametrize("name", [*PICTURES, "nasnet_mobile", "ssd", "densenet121", "efficientnet_b0"])
def test_words_and_lines_keep_clear_of_each_other(name: str, chromium: Browser, tmp_path: Path) -> None:
    """Measured with the fonts of a browser: no text leaves its block or the page, none lies on a line."""
    path = tmp_path / "net.svg"
    path.write_text(draw_svg(plan_spec(name)), encoding="utf-8")
    chromium.open(path)
    faults, blocks, points = chromium.evaluate(FAULTS)
    assert faults == []
    assert blocks > 3
    assert points > 10


@pytest.mark.skipif(FOUND is None, reason="no Chromium: apt-get install chromium")
def test_the_drawn_page_answers(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "net.html"
    path.write_text(FORMATS[".html"](plan_spec("lenet5")), encoding="utf-8")
    chromium.problems.clear()
    chromium.open(path)
    chromium.hover(".b[data-name=conv1]")
    assert "156 parameters" in chromium.evaluate("document.querySelector('#card').textContent")
    width = "document.querySelector('svg.graphc').getBoundingClientRect().width"
    before = chromium.evaluate(width)
    chromium.press("+")
    assert chromium.evaluate(width) == pytest.approx(1.25 * before, abs=0.1)
    colour = "getComputedStyle(document.querySelector('.page')).fill"
    light = chromium.evaluate(colour)
    chromium.press("t")
    assert chromium.evaluate(colour) != light
    assert chromium.problems == []


@pytest.mark.skipif(FOUND is None, reason="no Chromium: apt-get install chromium")
def test_a_picture_is_light_or_dark_as_the_system_is(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "net.svg"
    path.write_text(draw_svg(plan_spec("lenet5")), encoding="utf-8")
    chromium.open(path)
    found = {}
    for scheme in ("light", "dark"):
        chromium.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        found[scheme] = [
            brightness(chromium, f"document.querySelector('{each}')")
            for each in (".page", ".b text", ".convolution .stripe")
        ]
    page, words, stripe = found["light"]
    assert page > words
    assert page - stripe > 80
    page, words, stripe = found["dark"]
    assert page < words
    assert stripe - page > 80


def brightness(chromium: Browser, element: str) -> float:
    """Of an element's colour, 0 to 255."""
    style = f"getComputedStyle({element})"
    colour = chromium.evaluate(f"{element}.matches('.stripe') ? {style}.stroke : {style}.fill")
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return 0.3 * red + 0.59 * green + 0.11 * blue


def test_a_picture_of_many_outputs_takes_a_time_in_proportion_and_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 8000
    outputs = "".join(f"  o{number}: r/r_{number}\n" for number in range(1, count + 1))
    spec = tmp_path / "wide.yaml"
    layers = f"layers:\n  - repeat: {{name: r, times: {count}, layer: relu}}\n"
    spec.write_text(f"graphc: 1\ninputs: {{x: [N, 4]}}\n{layers}outputs:\n{outputs}", encoding="utf-8")
    plan = plan_spec(spec)
    start = time.process_time()
    assert draw_svg(plan).count('class="b ') == count + 2
    assert time.process_time() - start < 2 * 8
    monkeypatch.setattr(svg, "MOST_BLOCKS", 1000)
    cut_off = draw_svg(plan)
    assert "the first 1,000 of " in cut_off
    assert cut_off.count('class="b ') == 1000
