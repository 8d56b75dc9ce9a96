"""darknet's cfg and .weights: the published count of numbers, and what OpenCV computes of the same files."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest

from graphc.compiler import compile_plan, plan_model
from graphc.errors import SpecError, WeightsError
from graphc.graph import Plan
from graphc.importers.darknet import ACTIVATIONS
from graphc.importers.darknet_cfg import read_sections
from graphc.importers.darknet_import import _net, import_darknet
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
    yolo = "[yolo]\nmask = {}\nclasses=80\nnum=6\n"
    head = (
        conv(512)
        + pool.format(1)
        + conv(1024)
        + conv(256, 1)
        + conv(512)
        + conv(255, 1, last=True)
        + yolo.format("3,4,5")
    )
    second = "[route]\nlayers = -4\n" + conv(128, 1) + "[upsample]\nstride=2\n[route]\nlayers = -1, 8\n"
    net = f"[net]\n# testing\nbatch=1\nwidth={side}\nheight={side}\nchannels=3\n"
    return net + backbone + head + second + conv(256) + conv(255, 1, last=True) + yolo.format("0,1,2")


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


NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"
YOLO = "[conv]\nfilters=6\n[yolo]\nclasses=1\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "first section is [net]"),
        ("width=3\n", "expected [section] or option=value"),
        ("[net]\nwidth=8\n", "it needs height"),
        ("[net]\nwidth=8\nheight=eight\n", "expects a whole number, found eight"),
        ("[net]\nwidth=8\nheight=8\n", "it needs channels"),
        ("[net]\nwidth=8\nheight=8\nchannels=0\n", "channels expects at least 1, found 0"),
        (NET + "inputs=5\n", "inputs expects height·width·channels=192, found 5"),
        (NET + "width=9\n", "width is written twice, with other values: darknet takes the first"),
        (NET, "expected layers behind [net], found none"),
        (NET + "[cost]\n", "expected layers behind [net], found none"),
        (NET + "[gru]\n[gru]\n[crnn]\n", "3 sections of 3 cannot be said as layers: gru (2), crnn"),
        (NET + "[route]\nlayers=-9\n", "there is no section -9 before it"),
        (NET + "[shortcut]\n", "it needs from"),
        (NET + "[maxpool]\nstride=0\n", "stride expects at least 1, found 0"),
        (NET + "[maxpool]\nsize=10\npadding=1\n", "size=10 is larger than the map of 8×8 with padding=1"),
        (NET + "[maxpool]\nsize=2\npadding=6\n", "a window of padding alone has no value"),
        (NET + "[convolutional]\nfilters=0\n", "filters expects at least 1, found 0"),
        (NET + "[convolutional]\nfilters=2\nactivation=ramp\n", "the activation ramp is no layer"),
        (NET + "[convolutional]\ngroups=0\n", "groups expects at least 1, found 0"),
        (NET + "[convolutional]\ngroups=2\n", "groups=2 does not fit 3 channels"),
        (NET + "[convolutional]\ngroups=3\nfilters=4\n", "groups=3 does not fit 3 channels and filters=4"),
        (NET + "[convolutional]\npad=2\n", "pad expects 0 or 1, found 2"),
        (NET + "[convolutional]\nbatch_normalize=2\n", "batch_normalize expects 0 or 1, found 2"),
        (NET + "[convolutional]\nsize=1\ndilation=3\npadding=2\n", "size=1 expects no padding, found 2"),
        (NET + "[convolutional]\nsize=3\ndilation=2\n", "dilation=2 expects pad=1 and an odd size"),
        (NET + "[convolutional]\nsize=4\npad=1\ndilation=2\n", "dilation=2 expects pad=1 and an odd size"),
        (NET + "[upsample]\nstride=1000000\n", "at most 100,000 pixels along an axis"),
        (NET + "[upsample]\nstride=-2\n", "stride expects at least 1, found -2"),
        (NET + "[upsample]\nstride=10000\n", "it gives 19,200,000,000 numbers: expected at most 2,147,483,647"),
        (NET + "[convolutional]\nfilters=99999\nsize=99\npad=1\n", "it has 2,940,270,597 weights"),
        (NET + "[convolutional]\nstride_y=2\n", "stride_y=2 is no argument of a layer"),
        (NET + "[convolutional]\n[conv]\nshare_index=0\nxnor=1\n", "share_index=0, xnor=1 is no argument"),
        (NET + "[convolutional]\ncbn=1\n", "cbn=1 is no argument of a layer"),
        (NET + "[convolutional]\nfilter=2\n", "filter=2 is no argument of a layer"),
        (NET + "[max]\nmaxpool_depth=1\n", "maxpool_depth=1 is no argument of a layer"),
        (NET + "[maxpool]\nstride_x=0\n", "stride_x=0 is no argument of a layer"),
        (NET + "[avgpool]\n[softmax]\ntree=9k.tree\n", "tree=9k.tree is no argument of a layer"),
        (NET + "[avgpool]\n[softmax]\ntemperature=3\n", "temperature=3 is no argument of a layer"),
        (NET + "[connected]\ndontload=1\n", "dontload=1 is no argument of a layer"),
        (NET + "[connected]\nactivation=mish\n", "the activation mish is no layer"),
        (NET + "[conv]\n[dropout]\n", "probability expects a number, found none"),
        (NET + "[conv]\n[dropout]\nprobability=nan\n", "probability expects a number, found nan"),
        (NET + "[conv]\n[dropout]\nprobability=.2\ndropblock=1\n", "dropblock=1 is no argument of a layer"),
        (NET + "[conv]\n[conv]\n[shortcut]\nfrom=-2\nalpha=0\n", "alpha=0 is no argument of a layer"),
        (NET + "[conv]\n[conv]\n[shortcut]\nfrom=-2\nweights_type=per_channel\n", "weights_type=per_channel is no"),
        (NET + "[conv]\n[conv]\nfilters=4\n[shortcut]\nfrom=-2\n", "what it adds has other shapes"),
        (NET + "[conv]\n[conv]\nfilters=4\n[scale_channels]\nfrom=-2\n", "a number for each"),
        (NET + "[conv]\n[route]\nlayers=-1,,-1\n", "layers expects a whole number, found "),
        (NET + "[conv]\n[route]\nlayers=-1 # , 1\n", "layers expects no comma in a comment behind it"),
        (NET + "[conv]\n[route]\nlayers=-1\ngroup_id=1\n", "group_id expects a number below groups=1, found 1"),
        (NET + "[conv]\n[route]\nlayers=-1\ngroups=0\n", "groups expects at least 1, found 0"),
        (NET + "[conv]\n[route]\nlayers=" + "-1," * 20_000, "at most 1,000 numbers, found 20,001"),
        (NET + "[conv]\n" * 501, "expected at most 500 sections, found 502"),
        (NET + "[conv]\nactivation=" + "x" * 9_000, f"the activation {'x' * 60} is no layer"),
        (NET + "[conv]\nfilters=2\n[softmax]\n", "softmax over all 128 numbers of a map of channels is no layer"),
        (NET + "[dropout]\nprobability=.5\n", "it reads the image"),
        (NET + "[conv]\nfilters=3\n[yolo]\nnum=-1\nclasses=-8\n", "num expects at least 1, found -1"),
        (NET + "[conv]\nfilters=3\n[yolo]\nclasses=-2\n", "classes expects at least 0, found -2"),
        (NET + "[conv]\n[region]\nclasses=2\ncoords=-2\n", "coords expects at least 0, found -2"),
        (NET + "[connected]\noutput=3\n[detection]\nside=-1\n", "side expects at least 1, found -1"),
        (NET + "[conv]\n[yolo]\n", "its options are those of 25 channels or numbers, found 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "net.cfg").write_text(text)
    with pytest.raises(SpecError) as raised:
        import_darknet(tmp_path / "net.cfg")
    assert told in str(raised.value)
    assert len(str(raised.value)) < 1_000
    assert str(raised.value).count("net.cfg") == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (YOLO + "[route]\nlayers=-1\n" + YOLO, "it reads section -1, [yolo], whose numbers no layer gives on"),
        (YOLO + YOLO, "it reads [yolo], whose numbers no layer gives on"),
        (YOLO + "[upsample]\n", "it reads [yolo]"),
        (YOLO + "[yolo]\nclasses=1\n", "it reads [yolo]"),
        (YOLO.replace("yolo", "region") + "[avgpool]\n", "it reads [region]"),
        ("[connected]\noutput=98\n[detection]\n" + "[dropout]\nprobability=0\n", "it reads [detection]"),
        ("[avgpool]\n[softmax]\n[connected]\noutput=3\n", "it reads [softmax]"),
        ("[avgpool]\n[cost]\n[softmax]\n", "it reads [cost]"),
        ("[conv]\n[dropout]\nprobability=0\n[route]\nlayers=-1,-2\n", "it reads section -1, [dropout]"),
        ("[conv]\n[conv]\n[route]\nlayers=0\n", "1 section of 3 cannot be said as layers: convolutional"),
        (YOLO + "[route]\nlayers=0\n", "expected [yolo] or [region] or [detection] at the end too, found [route]"),
        (YOLO + "[route]\nlayers=0\n[conv]\n", "at the end too, found [convolutional]"),
        ("[conv]\n" + YOLO + "[route]\nlayers=0\n[conv]\n[route]\nlayers=0\n" + YOLO, "[convolutional] nothing reads"),
    ],
)  # fmt: skip
def test_which_sections_may_be_read(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "net.cfg").write_text(NET + text)
    with pytest.raises(SpecError) as raised:
        import_darknet(tmp_path / "net.cfg")
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("line", "same"),
    [
        (b"fil ters\t= 1 2\r", b"filters=12"),
        (b" #filters=3\n;filters=4\n \t\nfilters=5", b"filters=5"),
        (b"filters=5#3", b"filters=5"),
        (b"[cost]\n", b""),
        (b"[route]\nlayers = -1, 0 ### P6\n[conv]", b"[route]\nlayers=-1,0\n[conv]"),
        (b"[con v ol utional]\nfilters=4", b"[convolutional]\nfilters=4"),
    ],
)
def test_lines_are_read_as_darknet_does(tmp_path: Path, line: bytes, same: bytes) -> None:
    for name, each in (("a", line), ("b", same)):
        (tmp_path / name).write_bytes(NET.encode() + b"[conv]\nactivation=linear\n" + each + b"\n")
    found = [import_darknet(tmp_path / name, name="net").text.splitlines()[1:] for name in ("a", "b")]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"activation=leaky # 0.1", "the activation leaky#0.1 is no layer"),
        ("\u00a0activation=linear".encode(), "is no argument of a layer"),
        ("activation=linear\u00a0".encode(), "the activation linear"),
        (b"Filters=2", "Filters=2 is no argument of a layer"),
        (b"[Convolutional]", "[Convolutional] no layer says what it does"),
        (b"[conv", "expected [section] or option=value"),
        (b"[conv]=1", "expected [section] or option=value"),
        (b"filters=", "expected [section] or option=value"),
        (b"filters", "expected [section] or option=value"),
        (b"=2", "expected [section] or option=value"),
        (b"activation=linear\x0b", "found a control character"),
        (b"# a comment with \0", "found a control character"),
        (b"filters=2\r3", "found a control character"),
        (b"\xef\xbb\xbf[conv]", "expected [section] or option=value"),
    ],
)
def test_lines_that_darknet_reads_otherwise_are_refused(tmp_path: Path, line: bytes, told: str) -> None:
    (tmp_path / "net.cfg").write_bytes(NET.encode() + b"[conv]\n" + line + b"\n")
    with pytest.raises(SpecError) as raised:
        import_darknet(tmp_path / "net.cfg")
    assert told in str(raised.value)


@pytest.mark.posix
@pytest.mark.parametrize(
    "text",
    [
        "[conv]\n" + "[maxpool]\nsize=401\nstride=1\n" * 6,
        "[conv]\nfilters=2\n[route]\ngroups=2\nlayers=" + "0," * 999 + "0",
    ],
    ids=["pools", "groups"],
)
def test_windows_and_parts_cost_little(tmp_path: Path, text: str) -> None:
    path = tmp_path / "net.cfg"
    path.write_text("[net]\nwidth=1024\nheight=1024\nchannels=8\n" + text)
    numbers = sum(math.prod(shape) for _, _, shape, _ in _net(path, read_sections(path), "net").cursor.wanted)
    with little():
        import_darknet(path, random_weights(tmp_path / "net.weights", numbers))


def test_rows_that_come_again_late_cost_little(tmp_path: Path) -> None:
    """Filters, sizes and activations in turn, of periods 7, 3 and 10: rows alike in kind, whose numbers differ. To find
    blocks in them costs no more than a few times what reading does."""
    path, words = tmp_path / "net.cfg", sorted(ACTIVATIONS)[:10]
    turns = ((4 + at % 7, 1 + 2 * (at % 3), words[at % 10]) for at in range(100))
    path.write_text(
        NET + "".join(f"[conv]\nfilters={f}\nsize={s}\npad={min(s // 2, 1)}\nactivation={a}\n" for f, s, a in turns)
    )
    took = []
    for flat in (True, True, False):
        start = time.process_time()
        import_darknet(path, flat=flat)
        took.append(time.process_time() - start)
    assert took[2] < 0.2 + 8 * took[1]


@pytest.mark.posix
def test_a_small_file_is_not_compared_at_great_cost(tmp_path: Path) -> None:
    """Maps of a few weights, and windows of poolings."""
    (tmp_path / "net.cfg").write_text(
        "[net]\nwidth=1000\nheight=1000\nchannels=3\n" + "[conv]\nfilters=8\nactivation=mish\n" * 6
    )
    path = random_weights(tmp_path / "net.weights", 8 * 4 + 5 * 8 * 9)
    with little(memory=60):
        assert "too large to compare" in import_darknet(tmp_path / "net.cfg", path).said[-1]


@pytest.mark.posix
def test_a_large_image_is_not_run_through_both_specs(tmp_path: Path) -> None:
    (tmp_path / "net.cfg").write_text("[net]\nwidth=4000\nheight=4000\nchannels=3\n" + conv(4))
    path = random_weights(tmp_path / "net.weights", 4 * 4 + math.prod((4, 3, 3, 3)))
    with little(memory=60):
        found = import_darknet(tmp_path / "net.cfg", path)
    assert "too large to compare" in found.said[-1]
    assert len(import_darknet(tmp_path / "net.cfg", path, check=False).said) == 1


@pytest.mark.parametrize(("version", "start"), [((0, 1), 16), ((0, 2), 20), ((1, 0), 20)])
def test_how_long_the_count_of_images_is(tmp_path: Path, version: tuple[int, int], start: int) -> None:
    """As in darknet: ten times the major version and the minor one."""
    (tmp_path / "net.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[conv]\nactivation=linear\n")
    numbers = np.arange(4, dtype="<f4").tobytes()
    (tmp_path / "w.weights").write_bytes(np.asarray(version, "<i4").tobytes().ljust(start, b"\0") + numbers)
    _, variables = plan_of(tmp_path / "net.cfg", tmp_path / "w.weights")
    assert sorted(float(each) for array in variables.values() for each in array.ravel()) == [0, 1, 2, 3]


@pytest.mark.parametrize("change", [-4, 4, 1, -(10**9)])
def test_weights_of_another_length_are_refused(tmp_path: Path, change: int) -> None:
    (tmp_path / "net.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=3\n" + conv(4))
    path = random_weights(tmp_path / "net.weights", 4 * 4 + math.prod((4, 3, 3, 3)))
    import_darknet(tmp_path / "net.cfg", path)
    data = path.read_bytes()
    path.write_bytes(data[:change] if change < 0 else data + bytes(change))
    with pytest.raises(WeightsError, match=r"expected .* found"):
        import_darknet(tmp_path / "net.cfg", path)


def test_what_net_has_for_training_may_stand_twice(tmp_path: Path) -> None:
    (tmp_path / "net.cfg").write_text(NET + "decay=0.1\ndecay=0.2\n[conv]\n")
    assert "conv2d" in import_darknet(tmp_path / "net.cfg").text


@pytest.mark.parametrize("version", [(-1, 12), (1, -9), (300_000_000, 0), (0, 1000), (1000, 0)])
def test_versions_that_no_writer_has_are_refused(tmp_path: Path, version: tuple[int, int]) -> None:
    (tmp_path / "net.cfg").write_text(NET + "[conv]\nactivation=linear\n")
    (tmp_path / "w.weights").write_bytes(np.asarray([*version, 0, 0, 0], "<i4").tobytes() + bytes(16))
    with pytest.raises(WeightsError, match=r"its version .* is none with matrices as here"):
        import_darknet(tmp_path / "net.cfg", tmp_path / "w.weights")


def test_a_map_larger_than_the_limit_is_placed_at_the_cfg(tmp_path: Path) -> None:
    (tmp_path / "net.cfg").write_text(NET + "[conv]\nfilters=64\n" + "[route]\nlayers=-1,-1\n" * 40)
    with pytest.raises(SpecError) as raised:
        import_darknet(tmp_path / "net.cfg")
    assert "net.cfg" in str(raised.value)
    assert "--max-memory" not in str(raised.value)
