"""The page in Chromium, without a network: it says what `graphc run` says, also by keyboard, and names a runtime that
is wrong. `.ci/web` runs this: it needs Chromium, and onnxruntime-web's package in GRAPHC_ORT_WEB."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

from graphc.data.images import Decoding, read_sample
from graphc.data.resizing import CenterCrop, Letterbox, Resizing, Stretch
from graphc.inference import Scaling, run_files
from graphc.runtime import Session
from graphc.types import Array
from graphc.web.build import Page, make_page, write_single, write_site
from graphc.web.describe import describe
from graphc.web.known_answer import known_input
from graphc.web.runtime_package import read_runtime
from tests.report.browser import FLAGS, FOUND, Browser, browser
from tests.web.nets import HEIGHT, NAMES, WIDTH, write_body, write_net, write_photo

PACKAGE = os.environ.get("GRAPHC_ORT_WEB", "")
pytestmark = [
    pytest.mark.skipif(FOUND is None, reason="no Chromium"),
    pytest.mark.skipif(not PACKAGE, reason="GRAPHC_ORT_WEB names no package"),
]
NEW_PILLOW = int(PIL.__version__.partition(".")[0]) >= 13
DONE = "!document.getElementById('status').textContent.match(/^(Loading|Starting)/)"


def page_of(path: Path, providers: tuple[str, ...] = ("wasm",)) -> Page:
    return make_page(str(path), read_runtime(PACKAGE, providers, path.parent), {}, Scaling())


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def opened(chromium: Browser, path: Path, kind: str, **how: Any) -> Path:
    """The page of such a file, ready, in the browser; the file."""
    net = write_net(path / "net.onnx", kind, **how)
    write_single(page_of(net), path / "net.html")
    chromium.problems.clear()
    chromium.open(path / "net.html")
    chromium.wait(DONE)
    assert text(chromium, "status").startswith("Ready: wasm")
    return net


def text(chromium: Browser, name: str) -> str:
    return str(chromium.evaluate(f"document.getElementById('{name}').innerText"))


def give(chromium: Browser, photo: Path) -> str:
    """A picture by the file's button; what is said of it."""
    node = chromium.command("DOM.getDocument")["root"]["nodeId"]
    field = chromium.command("DOM.querySelector", nodeId=node, selector="#file")["nodeId"]
    chromium.evaluate("document.getElementById('said').textContent = '…'")
    chromium.command("DOM.setFileInputFiles", nodeId=field, files=[str(photo)])
    chromium.wait("document.getElementById('said').textContent !== '…'")
    return text(chromium, "said")


RESIZINGS = [
    Stretch(),
    Stretch(interpolation="bicubic", share=0.875),
    CenterCrop(shorter_side=20),
    CenterCrop(interpolation="bicubic"),
    Letterbox(fill=0.4),
]


@pytest.mark.parametrize("resize", RESIZINGS, ids=lambda each: f"{each.kind}")
@pytest.mark.parametrize(("height", "width"), [(40, 30), (7, 50), (12, 16), (33, 9)])
def test_pictures_become_the_same_bytes(
    chromium: Browser, tmp_path: Path, resize: Resizing, height: int, width: int
) -> None:
    if not text_of_page(chromium):
        opened(chromium, tmp_path, "classes")
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    for channels in (3, 1):
        decoding = Decoding(channels, (HEIGHT, WIDTH), resizing=resize)
        sample, _ = read_sample(tmp_path / "x.png", decoding)
        rgba = np.dstack([pixels, np.full((height, width), 255, np.uint8)])
        facts = {"kind": resize.kind, **resize.model_dump(mode="json")}
        given = {"height": HEIGHT, "width": WIDTH, "channels": channels, "rounds": True, "resize": facts}
        inside = base64.b64encode(rgba.tobytes()).decode()
        script = (
            f"(() => {{ const data = new Uint8ClampedArray(Tensors.bytesOf('{inside}'));"
            f"const canvas = {{height: {height}, width: {width}, data}};"
            f"const {{image, corners}} = Pixels.prepare(canvas, {json.dumps(given)});"
            "return [[...image.data], corners]; })()"
        )
        found, corners = chromium.evaluate(script)
        apart = np.abs(np.array(found).reshape(sample.image.shape) - sample.image.astype(int))
        # rows before columns; Pillow 13 may turn them round, and cuts off at 0 and 255 in between
        turned = NEW_PILLOW and height * WIDTH > width * HEIGHT
        assert apart.max() <= (8 if turned else 0)
        assert apart.mean() < 1
        assert sample.points is not None
        np.testing.assert_allclose(corners, sample.points.ravel(), atol=1e-9)


def text_of_page(chromium: Browser) -> bool:
    return bool(chromium.evaluate("typeof Pixels !== 'undefined'"))


@pytest.mark.parametrize("channels", [3, 1])
def test_classes_as_run_says_them(chromium: Browser, tmp_path: Path, channels: int) -> None:
    net = opened(chromium, tmp_path, "classes", resize=CenterCrop(shorter_side=20), channels=channels)
    photo = write_photo(tmp_path / "photo.png")
    said = give(chromium, photo)
    answer = ran(net, photo)
    assert said == f"{answer['class']}, {100 * answer['probability']:.1f} %"
    bars = chromium.evaluate(
        "[...document.querySelectorAll('#answers tr')].map(row => [...row.cells].map(c => c.innerText))"
    )
    assert [[name, share] for name, _, share in bars] == [
        [each["class"], f"{100 * each['probability']:.1f} %"] for each in answer["top"]
    ]
    assert chromium.problems == []
    assert text(chromium, "alarm") == ""
    assert "right" in text(chromium, "facts")


def ran(net: Path, photo: Path) -> Any:
    options = {"provider": "cpu", "name": None, "scale": None, "mean": None, "std": None, "top": len(NAMES)}
    return json.loads(run_files(str(net), [str(photo)], output="-", **options))  # type: ignore[arg-type]


def test_boxes_in_the_pictures_own_pixels(chromium: Browser, tmp_path: Path) -> None:
    net = opened(chromium, tmp_path, "boxes")
    photo = write_photo(tmp_path / "photo.png", 60, 20)
    said = give(chromium, photo)
    assert said == f"1 box: {NAMES[1]} 90.0 %; 1 more below 30.0 %"
    (expected, _) = ran(net, photo)["boxes"]
    left, top, right, bottom = map(round, expected["box"])
    size = chromium.evaluate("[document.getElementById('picture').width, document.getElementById('picture').height]")
    assert size == [60, 20], "upright"
    edge = drawn(chromium)[top : bottom + 1, left : right + 1]
    before = np.asarray(Image.open(photo).transpose(Image.Transpose.ROTATE_270))[top : bottom + 1, left : right + 1]
    changed = (edge != before).any(axis=2)
    assert changed[:, 0].mean() > 0.8
    assert changed[-1].mean() > 0.8
    assert not changed[-4:-2, 4:-4].any(), "within the box the picture is as it was"


def drawn(chromium: Browser) -> Array:
    script = (
        "(() => { const c = document.getElementById('picture');"
        "return [c.height, c.width, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]; })()"
    )
    height, width, data = chromium.evaluate(script)
    return np.array(data, np.uint8).reshape(height, width, 4)[:, :, :3]


def test_a_mask_over_the_picture(chromium: Browser, tmp_path: Path) -> None:
    net = opened(chromium, tmp_path, "mask")
    photo = write_photo(tmp_path / "photo.png")
    said = give(chromium, photo)
    session = Session(net)
    prepared, _ = read_sample(photo, Decoding(3, (HEIGHT, WIDTH)))
    found = describe(session, "", "", {}, Scaling()).input
    values = (prepared.image * np.array(found.scale) + np.array(found.offset)).astype(np.float32)[None]
    (maps,) = session.run({"image": values}).values()
    kinds = maps[0].argmax(axis=0 if session.outputs[0].layout == "nchw" else 2)
    share = (kinds == np.bincount(kinds.ravel()).argmax()).mean()
    best = NAMES[np.bincount(kinds.ravel()).argmax()]
    assert said.startswith(f"of the picture: {best} {100 * share:.1f} %")


@pytest.mark.parametrize(("kind", "words"), [("image", "an image of 16×12"), ("values", "…"), ("text", "reads")])
def test_other_outputs(chromium: Browser, tmp_path: Path, kind: str, words: str) -> None:
    opened(chromium, tmp_path, kind)
    assert words in give(chromium, write_photo(tmp_path / "photo.png"))
    assert chromium.problems == []
    if kind == "image":
        assert chromium.evaluate("document.querySelector('#answers canvas').width") == WIDTH


def press(chromium: Browser, key: str, code: int, text: str = "") -> None:
    for kind in ("keyDown", "keyUp"):
        more = {"text": text} if text and kind == "keyDown" else {}
        chromium.command("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)


def test_by_keyboard(chromium: Browser, tmp_path: Path) -> None:
    """From the top of the page: to the tabs, to drawing, a stroke, an answer; the focus can be seen."""
    opened(chromium, tmp_path, "classes")
    focused = "document.activeElement.id"
    press(chromium, "Tab", 9)
    assert chromium.evaluate(focused) == "theme"
    press(chromium, "Tab", 9)
    assert chromium.evaluate(focused) == "tab-file"
    press(chromium, "ArrowRight", 39)
    assert chromium.evaluate(focused) == "tab-draw"
    assert chromium.evaluate("document.getElementById('panel-file').hidden") is True
    press(chromium, "Tab", 9)
    assert chromium.evaluate(focused) == "sheet"
    style = "getComputedStyle(document.activeElement).outlineStyle"
    assert chromium.evaluate(style) == "solid"
    press(chromium, " ", 32, " ")
    for _ in range(5):
        press(chromium, "ArrowDown", 40)
    chromium.evaluate("document.getElementById('said').textContent = '…'")
    press(chromium, " ", 32, " ")
    chromium.wait("document.getElementById('said').textContent !== '…'")
    assert "%" in text(chromium, "said")
    assert chromium.evaluate("document.getElementById('said').getAttribute('aria-live')") == "polite"
    unnamed = (
        "[...document.querySelectorAll('button, input, select, canvas, video')]"
        ".filter(each => !(each.labels?.length || each.ariaLabel || each.textContent.trim())).map(each => each.id)"
    )
    assert chromium.evaluate(unnamed) == []


def test_a_runtime_that_is_wrong_is_named(chromium: Browser, tmp_path: Path) -> None:
    """The known answer of another net stands for what a wrong provider gives."""
    one, other = (page_of(write_net(tmp_path / f"{seed}.onnx", "classes", seed=seed)) for seed in (1, 2))
    write_single(Page(one.description, other.answer, one.runtime, one.model), tmp_path / "net.html")
    chromium.open(tmp_path / "net.html")
    chromium.wait(DONE)
    assert text(chromium, "alarm").startswith("wasm computes this model wrongly here: its answer to a known picture is")
    assert text(chromium, "status") == "wasm is not used."
    chromium.evaluate("document.getElementById('said').textContent = '…'")
    node = chromium.command("DOM.getDocument")["root"]["nodeId"]
    field = chromium.command("DOM.querySelector", nodeId=node, selector="#file")["nodeId"]
    chromium.command("DOM.setFileInputFiles", nodeId=field, files=[str(write_photo(tmp_path / "photo.png"))])
    chromium.evaluate("new Promise(done => setTimeout(done, 500))")
    assert text(chromium, "said") == "…", "no answer of a wrong runtime is shown"


def test_the_known_picture_is_the_same_in_both(chromium: Browser, tmp_path: Path) -> None:
    net = opened(chromium, tmp_path, "classes")
    given = describe(Session(net), "", "", {}, Scaling()).input
    found = chromium.evaluate(
        f"[...Tensors.asInput(Answer.knownPixels({json.dumps({'height': HEIGHT, 'width': WIDTH, 'channels': 3})}), "
        "JSON.parse(document.getElementById('description').textContent).input)]"
    )
    assert np.array_equal(np.array(found, np.float32), known_input(given).ravel())


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Files of a folder on this machine, as any static server gives them."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{found.server_address[1]}/"
        finally:
            found.shutdown()


def test_a_folder_from_a_server(tmp_path: Path) -> None:
    net = write_net(tmp_path / "net.onnx", "classes")
    write_site(page_of(net, ("wasm", "webgpu")), tmp_path / "site")
    with server(tmp_path / "site") as address, browser(tmp_path / "profile", offline=False) as chromium:
        chromium.command("Page.navigate", url=address)
        chromium.wait(f"document.getElementById('status') !== null && {DONE}")
        assert text(chromium, "status").startswith("Ready: wasm")
        photo = write_photo(tmp_path / "photo.png")
        assert give(chromium, photo).startswith(f"{ran(net, photo)['class']}, ")
        own = (f"asked for {address}", "Failed to load resource")
        assert all(problem.startswith(own) for problem in chromium.problems), chromium.problems
        chromium.evaluate("document.getElementById('time').click()")
        chromium.wait("document.getElementById('status').textContent.includes('the middle of 20 runs')")


SOFTWARE_GPU = [
    *("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"),
    *("--enable-features=Vulkan", "--use-vulkan=swiftshader"),
]


def test_a_convolution_that_webgpu_computes_wrongly(tmp_path: Path) -> None:
    """LeNet-5's second one, of 6 channels: wrong in onnxruntime-web 1.30, without a word from it."""
    body = "layers: [{conv2d: {filters: 6, kernel: 5}}, {conv2d: {filters: 16, kernel: 5}}, flatten]"
    net = write_body(tmp_path / "net.onnx", body)
    write_single(page_of(net, ("wasm", "webgpu")), tmp_path / "net.html")
    flags = [flag for flag in FLAGS if flag != "--disable-gpu"] + SOFTWARE_GPU
    with browser(tmp_path / "profile", flags=flags) as chromium:
        chromium.open(tmp_path / "net.html")
        chromium.wait(DONE)
        if "not in this browser" in text(chromium, "provider"):
            pytest.skip("this Chromium has no WebGPU")
        chromium.evaluate(
            "(() => { const list = document.getElementById('provider'); list.value = 'webgpu';"
            "list.dispatchEvent(new Event('change')); })()"
        )
        chromium.wait("!document.getElementById('alarm').hidden")
        chromium.wait(DONE)
        assert text(chromium, "alarm").startswith("webgpu computes this model wrongly here")
        assert text(chromium, "alarm").endswith("wasm is used instead.")
        assert chromium.evaluate("document.getElementById('provider').value") == "wasm"
