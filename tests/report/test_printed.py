"""Pictures for papers: PDF and PNG say what the SVG says."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphc.api import LearningCurves
from graphc.compiler import plan_spec
from graphc.errors import MachineError, SpecError
from graphc.report.families import ACCENTS
from graphc.report.learning import COLORS, draw_learning
from graphc.report.picture import printed
from graphc.report.picture.canvas import polyline
from graphc.report.picture.draw import draw_as
from graphc.report.picture.svg import draw_svg
from tests.passes.specs import plan_of


def size_of(svg: str) -> tuple[float, float]:
    found = re.search(r'width="([\d.]+)" height="([\d.]+)" role', svg)
    assert found is not None
    return float(found[1]), float(found[2])


def test_a_png_has_twice_the_pixels_and_every_color() -> None:
    pytest.importorskip("matplotlib")
    plan = plan_spec("lenet5")
    data = draw_as(plan, ".png")
    assert data == draw_as(plan, ".png"), "the same network, the same bytes"
    width, height = size_of(draw_svg(plan))
    with Image.open(io.BytesIO(data)) as picture:
        assert abs(picture.width - 2 * width) < 2
        assert abs(picture.height - 2 * height) < 2
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    found = {f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in np.unique(pixels, axis=0)}
    for family in ("convolution", "dense", "pooling"):
        assert ACCENTS[family].light in found, family


def test_a_pdf_is_one_page_of_the_picture_s_size() -> None:
    pytest.importorskip("matplotlib")
    plan = plan_spec("lenet5")
    data = draw_as(plan, ".pdf")
    assert data.startswith(b"%PDF")
    assert b"CreationDate" not in data
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", data)
    assert box is not None
    assert [float(each) for each in box.groups()] == pytest.approx(size_of(draw_svg(plan)), abs=0.1)


def test_every_command_of_a_path_is_read() -> None:
    points, codes = printed._path("M1 2V5v-1z")
    assert points == [(1, 2), (1, 5), (1, 4), (1, 2)]
    assert codes == [1, 2, 2, 79]
    corners = polyline([(0.0, 0.0), (0.0, 10.0), (20.0, 10.0)])
    points, codes = printed._path(corners)
    assert (points[0], points[-1]) == ((0, 0), (20, 10))
    assert codes == [1, 2, 3, 3, 2]


def test_names_with_dollars_are_text() -> None:
    pytest.importorskip("matplotlib")
    plan = plan_of("inputs: {x: [N, 4]}\nlayers:\n  - relu: {name: 'a$b$c'}")
    assert draw_as(plan, ".png")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MachineError, match=r"this needs the package matplotlib: install graphc\[plot\]"):
        draw_as(plan_spec("lenet5"), ".pdf")


def test_a_picture_that_no_png_holds_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(printed, "MOST_PIXELS", 100)
    with pytest.raises(SpecError, match="a PNG has at most 100 pixels along an edge"):
        draw_as(plan_spec("lenet5"), ".png")


def test_learning_curves_are_drawn_in_two_colors() -> None:
    pytest.importorskip("matplotlib")
    curves = {
        "epoch": np.array([1.0, 2.0, 3.0]),
        "loss": np.array([2.0, 1.0, 0.5]),
        "validation_loss": np.array([2.1, np.nan, 0.9]),
        "learning_rate": np.array([0.1, 0.01, 0.0]),
    }
    assert draw_learning(curves, "pdf").startswith(b"%PDF")
    assert draw_learning(curves, "svg") == draw_learning(curves, "svg")
    with Image.open(io.BytesIO(draw_learning(curves, "png"))) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    found = {f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in np.unique(pixels, axis=0)}
    assert set(COLORS.values()) <= found


def test_one_epoch_is_a_dot() -> None:
    pytest.importorskip("matplotlib")
    assert draw_learning({"epoch": np.ones(1), "loss": np.ones(1)}, "png")
    assert draw_learning({}, "png")


def test_curves_need_an_extra_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MachineError, match=r"install graphc\[plot\]"):
        LearningCurves({}).save(tmp_path / "curves.png")
    with pytest.raises(SpecError, match=r"expected a picture ending in \.png, \.pdf, \.svg"):
        LearningCurves({}).save(tmp_path / "curves.gif")
