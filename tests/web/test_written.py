"""What `graphc web` writes, and what it refuses; that the page works, `.ci/web` tries in a browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from graphc.cli import cli
from graphc.compiler import Emission, compile_spec
from graphc.data.preprocess import Preprocess
from graphc.errors import GraphcError, MachineError, SpecError
from graphc.inference import Scaling
from graphc.runtime import Session
from graphc.signature import InputSignature, Signature
from graphc.web import runtime_package
from graphc.web.build import MARK, SCRIPTS, STATIC
from graphc.web.describe import describe
from graphc.web.known_answer import known_answer, known_input
from tests.costs import little
from tests.web.nets import HEIGHT, NAMES, PREPROCESS, WIDTH, write_net

pytest.importorskip("onnxruntime")
FILES = {
    name: f"{name} </script> of a test".encode() for build in runtime_package.BUILDS.values() for name in build.files
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of classes; what stands for npm's package is known."""
    monkeypatch.chdir(tmp_path)
    known = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    monkeypatch.setattr(runtime_package, "RELEASES", {"1.30.0": known})
    write_net(tmp_path / "net.onnx", "classes")
    pack(tmp_path / "ort.tgz", FILES)
    return tmp_path


def pack(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def web(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["web", *map(str, arguments)], catch_exceptions=False)


def test_a_folder_for_any_server(here: Path) -> None:
    done = web("net.onnx", "-o", "site", "--runtime", "ort.tgz", "--title", "Cats & <dogs>")
    assert done.exit_code == 0
    assert "shows output as classes" in done.stderr
    build = runtime_package.BUILDS["wasm",]
    found = {path.relative_to("site").as_posix() for path in Path("site").rglob("*") if path.is_file()}
    scripts = {f"scripts/{name}" for name in SCRIPTS}
    runtime = {f"runtime/{name}" for name in (*build.files, "LICENSE.txt")}
    assert found == {"index.html", "page.css", "model.onnx", *scripts, *runtime}
    assert Path("site/model.onnx").read_bytes() == Path("net.onnx").read_bytes()
    page = Path("site/index.html").read_text(encoding="utf-8")
    assert "<h1>Cats &amp; &lt;dogs&gt;</h1>" in page
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page)) <= found, "nothing is loaded from elsewhere"
    facts = facts_of(page)
    assert facts["outputs"][0]["classes"] == list(NAMES)
    assert all((Path("site") / path).is_file() for path in facts["files"].values())
    web("net.onnx", "-o", "site", "--runtime", "ort.tgz")  # over one of its own


def facts_of(page: str) -> Any:
    (text,) = re.findall(r'id="description">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_one_file_with_all_inside(here: Path) -> None:
    assert web("net.onnx", "--single-file", "--runtime", "ort.tgz").exit_code == 0
    page = Path("net.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="', page)
    assert not re.findall(r"https?://(?!www\.w3\.org)", page)
    inside = re.findall(r'octet-stream" id="(\w+)">([^<]*)</script>', page)
    unpacked = {name: gzip.decompress(base64.b64decode(text)) for name, text in inside}
    build = runtime_package.BUILDS["wasm",]
    assert unpacked["model"] == Path("net.onnx").read_bytes()
    assert (unpacked["module"], unpacked["binary"]) == (FILES[build.module], FILES[build.binary])
    assert page.count("<script") == page.count("</script>"), "no text ends a script early"
    before = Path("net.html").read_bytes()
    web("net.onnx", "--single-file", "--runtime", "ort.tgz")
    assert Path("net.html").read_bytes() == before


def test_what_is_known_of_the_file(here: Path) -> None:
    """The answer is what onnxruntime gives for the picture, preprocessed as training did."""
    session = Session("net.onnx")
    found = describe(session, "net", "net.onnx", {}, Scaling())
    assert (found.input.height, found.input.width, found.input.channels) == (HEIGHT, WIDTH, 3)
    picture = known_input(found.input)
    raw = (picture[0] - np.array(found.input.offset)) / np.array(found.input.scale)
    assert len(np.unique(raw.round())) > 100
    expected = (raw * PREPROCESS.scale - PREPROCESS.mean) / PREPROCESS.std
    np.testing.assert_allclose(picture[0], expected, rtol=1e-6, atol=1e-6)
    answer = known_answer(session, "net.onnx", found).outputs["output"]
    assert answer["step"] == 1
    kept = np.frombuffer(base64.b64decode(answer["values"]), "<f4").reshape(answer["shape"])
    assert np.array_equal(kept, session.run({"image": picture})["output"])


@pytest.mark.parametrize("kind", ["classes", "mask", "image", "values", "text", "boxes"])
def test_how_outputs_are_shown(tmp_path: Path, kind: str) -> None:
    session = Session(write_net(tmp_path / "net.onnx", kind))
    (output,) = describe(session, "net", "net.onnx", {}, Scaling()).outputs
    assert output.shown_as == kind


def test_the_package_is_asked_for(here: Path) -> None:
    with pytest.raises(MachineError, match=r"fetch it once with `npm pack onnxruntime-web@1\.30\.0`"):
        web("net.onnx")
    (here / "ort.tgz").rename(here / "onnxruntime-web-1.30.0.tgz")
    assert web("net.onnx", "-o", "by_name").exit_code == 0
    (here / "onnxruntime-web-1.30.0.tgz").unlink()
    dist = here / "node_modules" / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True)
    for name, data in FILES.items():
        (dist / name).write_bytes(data)
    assert web("net.onnx", "-o", "by_npm", "--providers", "wasm,webgpu").exit_code == 0
    assert (here / "by_npm" / "runtime" / "ort.webgpu.min.js").exists()


def test_a_package_that_is_another(here: Path) -> None:
    some = dict(list(FILES.items())[:2])
    pack(here / "some.tgz", some)
    pack(here / "other.tgz", {**FILES, "ort.wasm.min.js": b"changed"})
    (here / "cut.tgz").write_bytes((here / "ort.tgz").read_bytes()[:60])
    (here / "none.tgz").write_bytes(b"nothing of the kind")
    for name, message in (
        ("some", r"it has no dist/ort-wasm-simd-threaded\.wasm"),
        ("other", r"expected onnxruntime-web 1\.30\.0, found files that differ from it"),
        ("cut", r"expected npm's package onnxruntime-web \(\.tgz\)"),
        ("none", r"expected npm's package onnxruntime-web \(\.tgz\)"),
    ):
        with pytest.raises(SpecError, match=message):
            web("net.onnx", "-o", "site", "--runtime", f"{name}.tgz")
    assert not (here / "site").exists()


def test_nothing_of_others_is_written_over(here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "index.html").write_text("my own page")
    for output, message in (("mine", "holds other files than a page's"), ("net.onnx", "it is a file")):
        with pytest.raises(GraphcError, match=message):
            web("net.onnx", "-o", output, "--runtime", "ort.tgz")
    with pytest.raises(GraphcError, match="would be written over what is read"):
        web("net.onnx", "--single-file", "-o", "net.onnx", "--runtime", "ort.tgz")
    assert (here / "mine" / "index.html").read_text() == "my own page"
    assert MARK in (STATIC / "page.html").read_text(encoding="utf-8").replace("{{version}}", "")


@pytest.mark.parametrize(
    ("inputs", "signature", "message"),
    [
        ("image: [N, 8, 8, 3]", None, "does not say how images were preprocessed"),
        ("image: [N, 8, 8, 5]", None, "expected a picture of 1, 3 or 4 channels"),
        ("x: [N, 8]", None, "takes x of 2 axes"),
        ("image: [N, H, 8, 3]", None, "leaves H open: give it with --size H=NUMBER"),
        ("a: [N, 8, 8, 3], b: [N, 8, 8, 3]", None, "expected a model of one picture"),
        (
            "image: [N, 8, 8, 3]",
            {"steps": [{"rescale": {"source": [0, 255]}}, {"standardize": {"per": "image"}}]},
            "more than a factor and an offset",
        ),
        ("image: [N, 8, 8, 3]", {"steps": [{"resize": {"size": [8, 8]}}]}, "--with-preprocess"),
    ],
)
def test_what_a_page_cannot_do_is_said(tmp_path: Path, inputs: str, signature: Any, message: str) -> None:
    layers = "[{add: {inputs: [a, b]}}]" if "b:" in inputs else "[relu]"
    (tmp_path / "net.yaml").write_text(f"graphc: 1\nname: net\ninputs: {{{inputs}}}\nlayers: {layers}\n")
    said = None
    if signature is not None:
        done = Preprocess.model_validate_json(json.dumps(signature))
        given = InputSignature(shape=(16, 16, 3) if "resize" in str(signature) else (8, 8, 3), preprocess=done)
        said = Signature(inputs={"image": given}).metadata()
    compile_spec(tmp_path / "net.yaml", tmp_path / "net.onnx", how=Emission(describe=lambda plan: said or {}))
    with pytest.raises(SpecError) as caught:
        describe(Session(tmp_path / "net.onnx"), "net", "net.onnx", {}, Scaling())
    assert message in str(caught.value)


def test_scaling_that_is_given(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text("graphc: 1\nname: net\ninputs: {image: [N, H, 8, 3]}\nlayers: [relu]\n")
    compile_spec(tmp_path / "net.yaml", tmp_path / "net.onnx")
    session = Session(tmp_path / "net.onnx")
    found = describe(session, "net", "net.onnx", {"H": 6}, Scaling(0.5, "1,2,3", "4"))
    assert found.input.height == 6
    assert found.input.scale == (0.125,) * 3
    assert found.input.offset == (-0.25, -0.5, -0.75)


@pytest.mark.parametrize("kind", [b"x", b"L", b"K", b"g"])
def test_headers_of_a_package_are_small(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = kind, 300 << 20
    with gzip.open(tmp_path / "bomb.tgz", "wb", 1) as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(30):
            file.write(bytes(1 << 20))
    with little(40), pytest.raises(SpecError, match="headers of more than 2,097,152 bytes"):
        runtime_package.archived_files(tmp_path / "bomb.tgz", runtime_package.BUILDS["wasm",])
