"""What `graphc web --train` writes, and what it refuses; that the page trains, `.ci/web` tries in a browser."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load as load_safetensors

from graphc.cli import cli
from graphc.errors import GraphcError
from graphc.kernels.conv.choose import FORCING, choose_conv_algorithm, forcing
from graphc.train.batching import rows_of_epoch
from graphc.train.step_file import first_step
from graphc.web import runtime_package
from graphc.web.training import OF_WORKER, SCRIPTS
from tests.kernels.conv.test_parity import case
from tests.train.conftest import RECIPE, SPEC, write_data
from tests.train.test_detection import FREE as DETECTOR
from tests.train.test_detection import RECIPE as DETECTING
from tests.web.test_written import FILES, pack

ort = pytest.importorskip("onnxruntime")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe on bytes; what stands for npm's package is known."""
    monkeypatch.chdir(tmp_path)
    known = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    monkeypatch.setattr(runtime_package, "RELEASES", {"1.30.0": known})
    pack(tmp_path / "ort.tgz", FILES)
    (tmp_path / "tiny.yaml").write_text(SPEC)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for name, count in (("train", 20), ("test", 8)):
        write_data(tmp_path / f"{name}.npz", count, 0)
        arrays = dict(np.load(tmp_path / f"{name}.npz"))
        arrays = {k: v if v.ndim == 1 else np.clip(64 * v + 128, 0, 255).astype(np.uint8) for k, v in arrays.items()}
        np.savez(tmp_path / f"{name}.npz", **arrays)
    return tmp_path


def web(*arguments: object) -> Result:
    given = ["web", "--train", "recipe.yaml", "--runtime", "ort.tgz", *map(str, arguments)]
    return CliRunner().invoke(cli, given, catch_exceptions=False)


def facts_of(folder: Path) -> Any:
    (text,) = re.findall(r'id="description">(.*?)</script>', (folder / "index.html").read_text("utf-8"), re.DOTALL)
    return json.loads(text)


def unpacked(folder: Path, name: str) -> bytes:
    return gzip.decompress((folder / name).read_bytes())


def test_a_folder_with_all_that_trains(here: Path) -> None:
    done = web("-o", "site", "--title", "Tiny & <quick>", "--set", "batch=4")
    assert done.exit_code == 0, done.output
    assert "with 20 examples to learn from and 8 held out, 4 a step" in done.stderr
    build = runtime_package.BUILDS["wasm",]
    found = {path.relative_to("site").as_posix() for path in Path("site").rglob("*") if path.is_file()}
    names = (build.script, build.module, f"{build.binary}.packed", "LICENSE.txt")
    scripts = {f"scripts/{name}" for name in (*SCRIPTS, *OF_WORKER)}
    packed = {"step.packed", "judge.packed", "state.packed", "examples.packed"}
    assert found == {"index.html", "page.css", "service_worker.js", *packed, *scripts, *(f"runtime/{n}" for n in names)}
    page = Path("site/index.html").read_text(encoding="utf-8")
    assert "<h1>Tiny &amp; &lt;quick&gt;</h1>" in page
    assert not re.findall(r"https?://(?!www\.w3\.org)", page), "nothing is loaded from elsewhere"
    assert gzip.decompress(Path(f"site/runtime/{build.binary}.packed").read_bytes()) == FILES[build.binary]
    facts = facts_of(Path("site"))
    assert all((Path("site") / path).is_file() for path in facts["files"].values())
    before = {path: path.read_bytes() for path in Path("site").rglob("*") if path.is_file()}
    web("-o", "site", "--title", "Tiny & <quick>", "--set", "batch=4")  # over one of its own
    assert {path: path.read_bytes() for path in before} == before, "the same page has the same bytes"


def test_it_holds_what_the_recipes_first_steps_need(here: Path) -> None:
    """The files alone, as the page uses them, give the losses that NumPy finds, in whole epochs of its own order."""
    web("-o", "site", "--set", "batch=4", "--set", "epochs=3")
    site = Path("site")
    facts, data = facts_of(site), load_safetensors(unpacked(site, "examples.packed"))
    first = first_step("recipe.yaml", ["batch=4", "epochs=3"])
    rows = rows_of_epoch(first.task.recipe, 0, first.sets.train)[:20]
    made = first.batches.make(rows[:4], 0)
    images = data["levels"][0][data["images"]]
    assert np.array_equal(images[:4], made.inputs["image"]), "bytes and their levels are exact"
    assert np.array_equal(data["labels"], first.sets.train.targets["label"][rows])
    session = ort.InferenceSession(unpacked(site, "step.packed"), providers=["CPUExecutionProvider"])
    state = load_safetensors(unpacked(site, "state.packed"))
    for each in facts["state"]:
        filled = np.full(each["shape"], each["value"], np.float32)
        state[each["name"]] = filled if each["like"] is None else state[each["like"]]
    wanted = {each.name for each in session.get_inputs()}
    assert len(facts["losses"]) == 5
    for step, loss in enumerate(facts["losses"]):
        some = slice(4 * step, 4 * step + 4)
        given = {facts["input"]["name"]: images[some], facts["head"]["label"]: data["labels"][some]}
        rate = data["rates"][min(step, len(data["rates"]) - 1)]
        given |= {"learning_rate": np.asarray(rate, np.float32), "step": np.asarray(step, np.float32)}
        for each in facts["uniform"]:
            drawn = np.empty(each["shape"], np.float32)
            for rank, (start, end) in enumerate(each["shards"]):
                key = (facts["seed"], step, each["key"], rank)
                np.random.default_rng(key).random(dtype=np.float32, out=drawn[start:end])
            given[each["name"]] = drawn
        names = facts["outputs"]
        feeds = {name: array for name, array in {**state, **given}.items() if name in wanted}
        found = dict(zip(names, session.run(names, feeds), strict=True))
        assert found["loss"] == pytest.approx(loss, rel=1e-5)
        state |= {name.removeprefix("next/"): array for name, array in found.items() if name.startswith("next/")}


def test_its_evaluation_drops_nothing(here: Path) -> None:
    """The file of evaluation gives what the network gives for the same variables in inference."""
    web("-o", "site")
    session = ort.InferenceSession(unpacked(Path("site"), "judge.packed"), providers=["CPUExecutionProvider"])
    state, first = load_safetensors(unpacked(Path("site"), "state.packed")), first_step("recipe.yaml")
    batch = first.task.recipe.batch
    image = np.random.default_rng(0).random((batch, 6, 6, 1), np.float32)
    assert not [each.name for each in session.get_inputs() if each.name.endswith("/uniform")]
    given = {**state, "image": image}
    (found,) = session.run(None, {each.name: given[each.name] for each in session.get_inputs()})
    network = first.engine.network  # type: ignore[attr-defined]
    node = first.task.heads.nodes[0]
    ours = network.forward(first.state.params, {"image": image}, training=False, keep=[node]).value(node)
    np.testing.assert_allclose(found, ours, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--set", "data.augment=[flip_horizontal]"), "augment: a page trains on the examples as they are"),
        (("--set", "schedule=reduce_on_plateau"), "a page does not wait for a plateau"),
        (("--set", "batch=64"), "expected at least one batch for the page, found 20 examples"),
        (("--set", "accumulate=2"), "accumulate: a page takes one batch a step"),
    ],
)
def test_what_a_page_cannot_do_is_said(here: Path, change: tuple[str, ...], said: str) -> None:
    with pytest.raises(GraphcError) as caught:
        web("-o", "site", *change)
    assert re.search(said, str(caught.value)), caught.value
    assert not Path("site").exists()


def test_a_page_trains_no_detector(here: Path) -> None:
    Path("net.yaml").write_text(DETECTOR)
    Path("recipe.yaml").write_text(DETECTING.replace("  augment: [flip_horizontal, {shift: {share: 0.3}}]\n", ""))
    with pytest.raises(GraphcError, match=r"recipe\.yaml:6:\d+: error\[G353\]: expected targets that are classes, det"):
        web("-o", "site")


def test_images_of_other_numbers_than_bytes_are_refused(here: Path) -> None:
    arrays = dict(np.load("train.npz"))
    (name,) = [name for name, array in arrays.items() if array.ndim > 1]
    arrays[name] = np.random.default_rng(0).random(arrays[name].shape, np.float32)
    np.savez("train.npz", **arrays)
    with pytest.raises(GraphcError, match="of at most 256 different numbers, found a channel with"):
        web("-o", "site")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("web", "--train", "recipe.yaml", "net.onnx"), "leave out NET.onnx"),
        (("web", "--train", "recipe.yaml", "--single-file"), "--single-file does not go with --train"),
        (("web", "net.onnx", "--examples", "3"), "--examples goes with --train"),
        (("web", "net.onnx", "--set", "a=1"), "--set goes with --train"),
        (("web",), "expected NET.onnx, or --train RECIPE"),
    ],
)
def test_options_that_do_not_go_together(arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(cli, arguments)
    assert (done.exit_code, said in done.output) == (2, True), done.output


def test_an_algorithm_is_forced_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FORCING, raising=False)
    problem, *_ = case("3x3 wide", "float32")

    def chosen() -> str:
        return choose_conv_algorithm(problem)[0].name

    before = chosen()
    assert before != "unfolded"
    with forcing("unfolded"):
        assert chosen() == "unfolded"
    assert chosen() == before
