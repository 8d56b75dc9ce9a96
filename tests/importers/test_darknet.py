"""darknet's cfg and .weights: the published count of numbers, and what OpenCV computes of the same files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from graphc.compiler import compile_plan, plan_model
from graphc.errors import SpecError, WeightsError
from graphc.graph import Plan
from graphc.importers.darknet_import import import_darknet
from graphc.layers.base import elements
from graphc.runtime import Session
from graphc.spec.model import read_spec_text
from tests.costs import little

YOLOV3_TINY = 8_858_734
"""Numbers in the published yolov3-tiny.weights, whose 35,434,956 bytes begin with 20 of its header."""


def conv(filters: int, size: int = 3, last: bool = False, **options: int) -> str:
    """A convolution; the last ones before `yolo` have neither batch norm nor activation."""
    how = "activation=linear" if last else "batch_normalize=1\nactivation=leaky"
    more = "".join(f"{name}={value}\n" for name, value in options.items())
    return f"[convolutional]\nfilters={filters}\nsize={size}\nstride=1\npad=1\n{how}\n{more}\n"


def yolov3_tiny(side: int = 416) -> str:
    pool = "[maxpool]\nsize=2\nstride={}\n"
    backbone = "".join(conv(filters) + pool.format(2) for filters in (16, 32, 64, 128, 256))
    head = conv(512) + pool.format(1) + conv(1024) + conv(256, 1) + conv(512) + conv(255, 1, last=True) + "[yolo]\n"
    second = "[route]\nlayers = -4\n" + conv(128, 1) + "[upsample]\nstride=2\n[route]\nlayers = -1, 8\n"
    net = f"[net]\n# testing\nbatch=1\nwidth={side}\nheight={side}\nchannels=3\n"
    return net + backbone + head + second + conv(256) + conv(255, 1, last=True) + "[yolo]\nmask = 0,1,2\n"


def plan_of(
    path: Path, weights: Path | None = None, *, flat: bool = False, epsilon: str = "1e-05"
) -> tuple[Plan, dict[str, np.ndarray]]:
    found = import_darknet(path, weights, flat=flat)
    text = found.text.replace("epsilon: 1e-05", f"epsilon: {epsilon}")
    return plan_model(read_spec_text(text, "net.yaml")), dict(found.variables)


def count(plan: Plan) -> int:
    return sum(elements(spec.shape) for spec in plan.variables.values())


def random_weights(path: Path, numbers: int) -> Path:
    """A .weights file of so many numbers, of which none is negative: some are variances."""
    rng = np.random.default_rng(0)
    values = rng.uniform(0.02, 0.3, numbers).astype("<f4")
    path.write_bytes(np.asarray([0, 2, 0, 0, 0], "<i4").tobytes() + values.tobytes())
    return path


@pytest.mark.parametrize("flat", [True, False], ids=["flat", "structured"])
def test_yolov3_tiny_has_its_published_count(tmp_path: Path, flat: bool) -> None:
    (tmp_path / "tiny.cfg").write_text(yolov3_tiny())
    plan, _ = plan_of(tmp_path / "tiny.cfg", flat=flat)
    assert count(plan) == YOLOV3_TINY
    shapes = [plan.shapes[node] for node in plan.graph.outputs.values()]
    assert shapes == [(13, 13, 255), (26, 26, 255)]


SMALL = (
    "[net]\nwidth=16\nheight=24\nchannels=3\n"
    + conv(8) + "[maxpool]\nsize=2\nstride=2\n" + conv(8, 1) + conv(8) + "[shortcut]\nfrom=-3\nactivation=linear\n"
    + conv(12, 3, last=True, stride=2) + "[upsample]\nstride=2\n[route]\nlayers=-1,-4\n" + conv(6, 1)
    + "[maxpool]\nsize=2\nstride=1\n" + conv(10, 1, last=True)
)  # fmt: skip


@pytest.mark.parametrize("flat", [True, False], ids=["flat", "structured"])
def test_outputs_are_opencv_s(tmp_path: Path, flat: bool) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV reads darknet's files")
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        pytest.skip("this OpenCV has no reader of darknet's files")
    path = tmp_path / "small.cfg"
    path.write_text(SMALL)
    weights = random_weights(tmp_path / "small.weights", count(plan_of(path)[0]))
    plan, variables = plan_of(path, weights, flat=flat, epsilon="1e-06")  # OpenCV's
    image = np.random.default_rng(1).random((1, 3, 24, 16), dtype=np.float32)
    session = Session(compile_plan(plan, variables).serialize())
    (found,) = session.run({"image": np.ascontiguousarray(image.transpose(0, 2, 3, 1))}).values()
    theirs = cv2.dnn.readNetFromDarknet(str(path), str(weights))
    theirs.setInput(image)
    expected = theirs.forward()
    np.testing.assert_allclose(found.transpose(0, 3, 1, 2), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_classifier_with_dense_layers(tmp_path: Path) -> None:
    """Its matrices read C H W in the file: a net of two pixels, by hand."""
    (tmp_path / "dense.cfg").write_text(
        "[net]\nwidth=2\nheight=1\nchannels=2\n[connected]\noutput=1\nactivation=linear\n"
    )
    numbers = np.asarray([0.5, 1, 2, 3, 4], "<f4")  # the bias, then C0 at both pixels, C1 at both
    (tmp_path / "dense.weights").write_bytes(np.asarray([0, 2, 0, 0, 0], "<i4").tobytes() + numbers.tobytes())
    plan, variables = plan_of(tmp_path / "dense.cfg", tmp_path / "dense.weights")
    image = np.asarray([[[[10, 100], [1000, 10000]]]], np.float32)  # H W C
    (found,) = Session(compile_plan(plan, variables).serialize()).run({"image": image}).values()
    assert found.item() == 0.5 + 1 * 10 + 2 * 1000 + 3 * 100 + 4 * 10000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "first section is [net]"),
        ("width=3\n", "expected [section] or option=value"),
        ("[net]\nwidth=8\n", "it needs height"),
        ("[net]\nwidth=8\nheight=eight\n", "expects a whole number, found eight"),
        ("[net]\nwidth=8\nheight=8\n", "expected layers behind [net], found none"),
        ("[net]\nwidth=8\nheight=8\n[gru]\n[gru]\n[crnn]\n", "3 sections of 3 cannot be said as layers: gru (2), crnn"),
        ("[net]\nwidth=8\nheight=8\n[route]\nlayers=-9\n", "there is no section -9 before it"),
        ("[net]\nwidth=8\nheight=8\n[shortcut]\n", "it needs from"),
        ("[net]\nwidth=8\nheight=8\n[maxpool]\nstride=0\n", "stride=0 expect at least 1"),
        ("[net]\nwidth=8\nheight=8\n[convolutional]\nfilters=0\n", "cannot be said"),
        ("[net]\nwidth=8\nheight=8\n[convolutional]\nfilters=2\nactivation=ramp\n", "the activation ramp is no layer"),
        ("[net]\nwidth=8\nheight=8\n[convolutional]\ngroups=0\n", "groups=0 does not fit 3 channels"),
        ("[net]\nwidth=8\nheight=8\n[convolutional]\ngroups=2\n", "groups=2 does not fit 3 channels"),
        ("[net]\nwidth=8\nwidth=9\n", "width is written twice, with other values: darknet takes the first"),
        ("[net]\nwidth=8\nheight=8\n[upsample]\nstride=1000000\n", "at most 100,000 pixels along an axis"),
        ("[net]\nwidth=8\nheight=8\n[convolutional]\nstride_y=2\n", "stride_y is no argument of a layer"),
        ("[net]\nwidth=8\nheight=8\n[convolutional]\n[conv]\nshare_index=0\nxnor=1\n", "share_index, xnor is no arg"),
        ("[net]\nwidth=8\nheight=8\n[max]\nmaxpool_depth=1\n", "maxpool_depth is no argument of a layer"),
        ("[net]\nwidth=8\nheight=8\n[softmax]\ntree=9k.tree\n", "tree is no argument of a layer"),
        ("[net]\nwidth=8\nheight=8\n[connected]\ndontload=1\n", "dontload is no argument of a layer"),
        ("[net]\nwidth=8\nheight=8\n[conv]\n[conv]\n[shortcut]\nfrom=-2\nalpha=2\n", "alpha is no argument of a layer"),
        ("[net]\nwidth=8\nheight=8\n[conv]\n[conv]\nfilters=4\n[shortcut]\nfrom=-2\n", "what it adds has other shapes"),
        ("[net]\nwidth=8\nheight=8\n[conv]\n[conv]\nfilters=4\n[scale_channels]\nfrom=-2\n", "a number for each"),
        ("[net]\nwidth=8\nheight=8\n[conv]\n[route]\nlayers=-1,,-1\n", "layers expects a whole number, found "),
        ("[net]\nwidth=8\nheight=8\n[conv]\n[route]\nlayers=" + "-1," * 20_000, "at most 10,000 numbers, found 20,001"),
        ("[net]\nwidth=8\nheight=8\n" + "[conv]\n" * 501, "expected at most 500 sections, found 502"),
        ("[net]\nwidth=8\nheight=8\n[conv]\nactivation=" + "x" * 9_000, f"the activation {'x' * 60} is no layer"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "net.cfg").write_text(text)
    with pytest.raises(SpecError) as raised:
        import_darknet(tmp_path / "net.cfg")
    assert told in str(raised.value)
    assert len(str(raised.value)) < 1_000


@pytest.mark.posix
def test_a_large_image_is_not_run_through_both_specs(tmp_path: Path) -> None:
    (tmp_path / "net.cfg").write_text("[net]\nwidth=4000\nheight=4000\n" + conv(4))
    path = random_weights(tmp_path / "net.weights", 4 * 4 + math.prod((4, 3, 3, 3)))
    with little(memory=60):
        found = import_darknet(tmp_path / "net.cfg", path)
    assert "too large to compare" in found.said[-1]


@pytest.mark.parametrize(("version", "start"), [((0, 1), 16), ((0, 2), 20), ((1, -9), 16), ((-1, 12), 20)])
def test_how_long_the_count_of_images_is(tmp_path: Path, version: tuple[int, int], start: int) -> None:
    """As in darknet: ten times the major version and the minor one."""
    (tmp_path / "net.cfg").write_text("[net]\nwidth=8\nheight=8\n[conv]\nactivation=linear\n")
    numbers = np.arange(4, dtype="<f4").tobytes()
    (tmp_path / "w.weights").write_bytes(np.asarray(version, "<i4").tobytes().ljust(start, b"\0") + numbers)
    _, variables = plan_of(tmp_path / "net.cfg", tmp_path / "w.weights")
    assert sorted(float(each) for array in variables.values() for each in array.ravel()) == [0, 1, 2, 3]


@pytest.mark.parametrize("change", [-4, 4, 1, -(10**9)])
def test_weights_of_another_length_are_refused(tmp_path: Path, change: int) -> None:
    (tmp_path / "net.cfg").write_text("[net]\nwidth=8\nheight=8\n" + conv(4))
    path = random_weights(tmp_path / "net.weights", 4 * 4 + math.prod((4, 3, 3, 3)))
    import_darknet(tmp_path / "net.cfg", path)
    data = path.read_bytes()
    path.write_bytes(data[:change] if change < 0 else data + bytes(change))
    with pytest.raises(WeightsError, match=r"expected .* found"):
        import_darknet(tmp_path / "net.cfg", path)
