"""The page of `graphc web --train` in Chromium, with no network but a server on this machine: it trains as NumPy does,
learns pictures of one's own, and gives its weights back. `.ci/web` runs this: it needs Chromium, and onnxruntime-web's
package in GRAPHC_ORT_WEB; LeNet needs MNIST, in GRAPHC_SHARED."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from graphc.cli import run_command
from graphc.train.step_file import first_step
from graphc.train.trained import load_weights
from graphc.types import Array
from graphc.web.runtime_package import read_runtime
from graphc.web.training import TrainingPage, held_out, make_training_page, write_training_site
from tests.report.browser import FLAGS, FOUND, Browser, browser
from tests.web.test_in_browser import PACKAGE, SOFTWARE_GPU, press, server, text

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "recipe.yaml"
MNIST = Path(os.environ.get("GRAPHC_SHARED", "")) / "data" / "mnist10k"
pytestmark = [
    pytest.mark.skipif(FOUND is None, reason="no Chromium"),
    pytest.mark.skipif(not PACKAGE, reason="GRAPHC_ORT_WEB names no package"),
]
READY = (
    "(document.getElementById('status') || {textContent: ''}).textContent.startsWith('Ready') && crossOriginIsolated"
)
LENET = """\
recipe: 1
model: lenet
data:
  train: {{idx: {{images: {0}/train-images-idx3-ubyte.gz, labels: {0}/train-labels-idx1-ubyte.gz}}}}
  validation: {{idx: {{images: {0}/t10k-images-idx3-ubyte.gz, labels: {0}/t10k-labels-idx1-ubyte.gz}}}}
loss: softmax_cross_entropy
optimizer: momentum
learning_rate: 0.01
batch: 32
epochs: 12
"""
OF_BROWSERS = ("google", "gvt1", "chrome", "duckduckgo")
"""In the names of servers that browsers themselves ask, whatever the page."""
MOST = 20_000_000
"""Bytes of LeNet's page."""


@contextmanager
def elsewhere() -> Iterator[tuple[int, list[str]]]:
    """(the port of a proxy that answers nothing, what was asked of it)."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(200).decode(errors="replace").partition("\r")[0])

        threading.Thread(target=listen, daemon=True).start()
        yield listening.getsockname()[1], asked


@contextmanager
def opened(page: TrainingPage, folder: Path, *, gpu: bool = False) -> Iterator[Browser]:
    """The page, ready, from a server that sends no headers of its own; nothing else may be asked for."""
    write_training_site(page, folder / "site")
    with elsewhere() as (port, asked), server(folder / "site") as address:
        flags = [flag for flag in FLAGS if not flag.startswith("--proxy-server") and not (gpu and "gpu" in flag)]
        flags += [f"--proxy-server=127.0.0.1:{port}", *(SOFTWARE_GPU if gpu else [])]
        with browser(folder / "profile", offline=False, flags=flags) as chromium:
            chromium.command("Page.navigate", url=address)
            chromium.wait(READY)
            chromium.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
            yield chromium
            said = [each for each in chromium.problems if not each.startswith(f"asked for {address}")]
            assert said == []
        others = [each for each in asked if not any(name in each for name in OF_BROWSERS)]
        assert others == [], "the page asks for nothing elsewhere"


@pytest.fixture
def digits(tmp_path: Path) -> Iterator[tuple[Browser, TrainingPage]]:
    page = make_training_page(DIGITS, read_runtime(PACKAGE, ("wasm",), tmp_path))
    with opened(page, tmp_path) as chromium:
        yield chromium, page


def numbers(chromium: Browser) -> list[list[str]]:
    """Every step, the first one first: step, loss, right in the batch, of those held out."""
    script = "[...document.querySelectorAll('#numbers tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    found: list[list[str]] = chromium.evaluate(script)
    return found[::-1]


def trained(chromium: Browser, steps: int) -> list[list[str]]:
    """The steps so far, when so many more are done."""
    before = len(numbers(chromium))
    chromium.evaluate(f"document.getElementById('steps').value = {steps}; document.getElementById('train').click()")
    for _ in range(steps):  # one wait has a minute
        end = f"document.getElementById('numbers').rows.length >= {before + steps}"
        end += " || !document.getElementById('alarm').hidden"
        try:
            chromium.wait(f"({end}) && document.getElementById('train').textContent === 'Train'")
            break
        except TimeoutError:
            assert len(numbers(chromium)) > before, "no step in a minute"
    assert text(chromium, "alarm") == ""
    return numbers(chromium)


def downloaded(chromium: Browser, folder: Path, name: str) -> Path:
    path = folder / f"{name}.safetensors"
    chromium.evaluate("document.getElementById('download').click()")
    chromium.wait("document.getElementById('status').textContent.endsWith('bytes.')")
    for _ in range(200):
        if path.exists():
            return path
        chromium.evaluate("new Promise(done => setTimeout(done, 50))")
    raise AssertionError("nothing was downloaded")


@pytest.mark.skipif(not MNIST.is_dir(), reason="GRAPHC_SHARED holds no MNIST")
def test_lenet_learns_mnist_as_in_numpy(tmp_path: Path) -> None:
    """A hundred steps: the first ten have NumPy's losses, and it has learned; the page is small."""
    (tmp_path / "lenet.yaml").write_text(LENET.format(MNIST))
    page = make_training_page(tmp_path / "lenet.yaml", read_runtime(PACKAGE, ("wasm",), tmp_path))
    with opened(page, tmp_path) as chromium:
        assert sum(path.stat().st_size for path in (tmp_path / "site").rglob("*") if path.is_file()) < MOST
        assert "threads" in text(chromium, "facts") or os.cpu_count() == 1
        steps = trained(chromium, 100)
    losses = [float(loss) for _, loss, *_ in steps]
    assert losses[:10] == pytest.approx(page.facts["losses"], abs=1e-4)
    assert np.mean(losses[-10:]) < 1.0
    assert float(steps[-1][3].removesuffix(" %")) > 85


def test_weights_go_back_to_graphc(digits: tuple[Browser, TrainingPage], tmp_path: Path, monkeypatch: Any) -> None:
    """NumPy finds with the downloaded weights what the page has found with them; a training begins with them."""
    chromium, page = digits
    steps = trained(chromium, 50)
    path = downloaded(chromium, tmp_path, "digits")
    first = first_step(DIGITS)
    params = load_weights(first.task.plan, path, "float32")
    held = held_out(first)
    assert held is not None
    node, right, count = first.task.heads.nodes[0], 0, len(held.examples)
    for rows in held.batch_rows(np.arange(count)):
        batch = held.make(rows)
        found = first.engine.network.forward(params, batch.inputs, training=False, keep=[node])  # type: ignore[attr-defined]
        right += int((found.value(node).argmax(axis=1) == batch.targets["label"]).sum())
    assert page.facts["tests"] == count
    assert steps[-1][3] == f"{100 * right / count:.1f} %"
    monkeypatch.setattr(
        "sys.argv",
        [
            "graphc",
            "train",
            str(DIGITS),
            "-o",
            str(tmp_path / "run"),
            "--set",
            f"init_from={{path: {path}}}",
            "--set",
            "epochs=1",
        ],
    )
    assert run_command() == 0


def test_one_stops_goes_on_and_begins_anew(digits: tuple[Browser, TrainingPage]) -> None:
    chromium, page = digits
    chromium.evaluate("document.getElementById('steps').value = 100000; document.getElementById('train').click()")
    chromium.wait("document.getElementById('numbers').rows.length >= 5")
    assert text(chromium, "train") == "Stop"
    chromium.evaluate("document.getElementById('train').click()")
    chromium.wait("document.getElementById('train').textContent === 'Train'")
    done = len(numbers(chromium))
    assert [int(each[0]) for each in trained(chromium, 5)] == list(range(1, done + 6))
    chromium.evaluate("document.getElementById('reset').click()")
    chromium.wait("document.getElementById('numbers').rows.length === 0")
    again = [float(loss) for _, loss, *_ in trained(chromium, 3)]
    assert again == pytest.approx(page.facts["losses"][:3], abs=1e-4)


def picture(path: Path, place: int) -> Path:
    """A bright bar on black."""
    image = Image.new("L", (80, 80))
    ImageDraw.Draw(image).rectangle((place, 10, place + 15, 70), fill=255)
    image.save(path)
    return path


def test_it_learns_pictures_of_ones_own(digits: tuple[Browser, TrainingPage], tmp_path: Path) -> None:
    """Bars on the left are 3 and on the right 8, which nobody else says."""
    chromium, _ = digits
    for label, place in ((3, 5), (8, 55)):
        chromium.evaluate(f"document.getElementById('class').selectedIndex = {label}")
        node = chromium.command("DOM.getDocument")["root"]["nodeId"]
        field = chromium.command("DOM.querySelector", nodeId=node, selector="#file")["nodeId"]
        files = [str(picture(tmp_path / f"{label}_{at}.png", place + at)) for at in range(4)]
        chromium.command("DOM.setFileInputFiles", nodeId=field, files=files)
        chromium.wait(f"document.getElementById('own').textContent.includes('4 of {label}')")
    chromium.evaluate("document.getElementById('from').value = 'own'")
    trained(chromium, 40)
    node = chromium.command("DOM.getDocument")["root"]["nodeId"]
    field = chromium.command("DOM.querySelector", nodeId=node, selector="#file")["nodeId"]
    for label, place in ((3, 7), (8, 57)):
        chromium.command("DOM.setFileInputFiles", nodeId=field, files=[str(picture(tmp_path / "x.png", place))])
        chromium.wait(f"document.getElementById('said').textContent.startsWith('{label}, probability')")


def test_by_keyboard_and_on_a_small_screen(digits: tuple[Browser, TrainingPage]) -> None:
    chromium, _ = digits
    focused = "document.activeElement.id"
    for name in ("theme", "from", "steps", "train"):
        press(chromium, "Tab", 9)
        assert chromium.evaluate(focused) == name
    assert chromium.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(chromium, "Enter", 13, "\r")
    chromium.wait("document.getElementById('numbers').rows.length >= 2")
    assert text(chromium, "train") == "Stop"
    press(chromium, "Enter", 13, "\r")
    chromium.wait("document.getElementById('train').textContent === 'Train'")
    for _ in range(3):  # begin anew, download, the numbers
        press(chromium, "Tab", 9)
    press(chromium, "Tab", 9)
    assert chromium.evaluate(focused) == "sheet"
    press(chromium, " ", 32, " ")
    for _ in range(5):
        press(chromium, "ArrowDown", 40)
    press(chromium, " ", 32, " ")
    chromium.wait("document.getElementById('said').textContent.includes('probability')")
    assert chromium.evaluate("document.getElementById('add').disabled") is False
    unnamed = (
        "[...document.querySelectorAll('button, input, select, canvas, svg')]"
        ".filter(each => !(each.labels?.length || each.ariaLabel || each.textContent.trim()"
        " || each.getAttribute('aria-labelledby'))).map(each => each.id)"
    )
    assert chromium.evaluate(unnamed) == []
    for theme in ("light", "dark"):
        chromium.command("Emulation.setDeviceMetricsOverride", width=375, height=800, deviceScaleFactor=1, mobile=False)
        chromium.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        assert chromium.evaluate("document.documentElement.scrollWidth") == 375


def test_numpys_random_numbers(digits: tuple[Browser, TrainingPage]) -> None:
    chromium, _ = digits
    chromium.evaluate(
        "new Promise(done => { const script = document.createElement('script'); script.onload = done;"
        "script.src = 'scripts/numpy_random.js'; document.head.append(script); })"
    )
    for key, count in (((0, 0, 12345, 0), 5), ((7, 3, 2**32 - 1, 1), 8), ((2**40, 1, 5, 0, 9), 3)):
        listed = ", ".join(f"{each}n" for each in key)
        filled = f"const out = new Float32Array({count}); NumpyRandom.fill(out, [{listed}]); return [...out];"
        found: Array = np.array(chromium.evaluate(f"(() => {{ {filled} }})()"), np.float32)
        assert np.array_equal(found, np.random.default_rng(key).random(count, np.float32))


def test_webgpu_of_a_software_adapter(tmp_path: Path) -> None:
    """The state stays on the device; the losses are NumPy's."""
    page = make_training_page(DIGITS, read_runtime(PACKAGE, ("wasm", "webgpu"), tmp_path), ["optimizer=momentum"])
    with opened(page, tmp_path, gpu=True) as chromium:
        if "not in this browser" in text(chromium, "provider"):
            pytest.skip("this Chromium has no WebGPU")
        chromium.evaluate(
            "(() => { const list = document.getElementById('provider'); list.value = 'webgpu';"
            "list.dispatchEvent(new Event('change')); })()"
        )
        chromium.wait("document.getElementById('status').textContent === 'Ready: webgpu.'")
        steps = trained(chromium, 4)
        assert [float(loss) for _, loss, *_ in steps] == pytest.approx(page.facts["losses"][:4], abs=1e-3)
        assert downloaded(chromium, tmp_path, "digits").stat().st_size > 4 * page.facts["weights"]
