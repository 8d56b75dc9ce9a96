"""extends and include: what is merged, and that nothing outside the folder is ever read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from graphc.errors import Place, SpecError
from graphc.spec import documents
from graphc.spec.documents import read_document
from graphc.spec.model import read_spec
from graphc.spec.source import Limits

LAYERS = "graphc: 1\nlayers: [relu]\n"


@pytest.fixture
def write(tmp_path):
    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


def refusal(path: Path, limits: Limits = documents.LIMITS) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read_document(path, limits)
    assert caught.value.place is not None
    return caught.value


def test_extends_merges_key_by_key_and_replaces_the_rest(write):
    write(
        "base.yaml",
        "graphc: 1\nname: base\nvars: {a: 1, b: 2}\ninputs: {x: [N, 3]}\noutputs: {o: p}\narg_scope: {relu: {}}\n"
        "arg_scopes: {s: {}}\nblocks: {k: {layers: []}}\nexpect: {params: 1, macs: 2}\nlayers: [relu]\n"
        "end_points: [p]\n",
    )
    path = write(
        "net.yaml", "extends: base.yaml\nvars: {b: 3, c: 4}\noutputs: {q: r}\nexpect: {params: 9}\nlayers: [elu]\n"
    )
    document = read_document(path)
    tree = document.tree
    assert tree["vars"] == {"a": 1, "b": 3, "c": 4}
    assert tree["outputs"] == {"o": "p", "q": "r"}
    assert tree["expect"] == {"params": 9, "macs": 2}
    assert tree["layers"] == ["elu"]
    assert tree["name"] == "base"
    assert tree["vars"].places["a"] == Place(str(path.parent / "base.yaml"), 3, 11)
    assert tree["vars"].places["b"] == Place(str(path), 2, 11)
    assert list(document.texts) == ["net.yaml", "base.yaml"]


def test_include_takes_vars_blocks_and_scopes_only(write):
    write("one.yaml", "vars: {a: 1, b: 1}\nblocks: {k: {layers: []}}\narg_scopes: {s: {}}\nname: one\nlayers: [elu]")
    write("two.yaml", "vars: {b: 2, c: 2}\n")
    path = write("net.yaml", LAYERS + "include: [one.yaml, ./two.yaml]\nvars: {c: 3}\n")
    tree = read_document(path).tree
    assert tree["vars"] == {"a": 1, "b": 2, "c": 3}
    assert set(tree) == {"graphc", "vars", "blocks", "arg_scopes", "layers"}
    assert tree["layers"] == ["relu"]
    assert read_spec(path, ["a=7"]).vars == {"a": 7, "b": 2, "c": 3}


def test_the_source_holds_every_text(write):
    write("parts/one.yaml", "vars: {a: 1}")
    path = write("net.yaml", LAYERS + "include: parts/one.yaml\n")
    expected = f"# net.yaml\n{LAYERS}include: parts/one.yaml\n---\n# parts/one.yaml\nvars: {{a: 1}}\n"
    assert read_spec(path).source == expected


def test_paths_are_relative_to_the_file_that_names_them(write):
    write("parts/one.yaml", "include: deeper/two.yaml\n")
    write("parts/deeper/two.yaml", "vars: {a: 2}\n")
    path = write("net.yaml", LAYERS + "include: [parts/one.yaml]\n")
    assert read_document(path).tree["vars"] == {"a": 2}
    write("parts/one.yaml", "include: parts/deeper/two.yaml\n")
    assert "cannot include parts/parts/deeper/two.yaml" in refusal(path).message


@pytest.mark.parametrize(
    "target",
    ["../net.yaml", "/etc/passwd", "~/net.yaml", "parts/../../x", "..", ".", "", "/", "C:\\\\x", "a\\\\b", "file:///etc/passwd",
     "http://example.org/x.yaml", "a\\0b"],
)  # fmt: skip
def test_paths_that_lead_elsewhere_are_refused_before_anything_is_opened(write, target, monkeypatch):
    path = write("net.yaml", LAYERS + f'include: ["{target}"]\n')
    monkeypatch.setattr(documents, "open_below", None)
    error = refusal(path)
    assert error.code == "G180"
    assert error.place == Place(str(path), 3, 11)


def test_percent_escapes_mean_themselves(write):
    assert "there is no file" in refusal(write("net.yaml", LAYERS + "include: '%2e%2e'\n")).message


def test_links_pipes_devices_and_folders_are_refused(write, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.yaml").write_text("vars: {secret: 1}")
    path = write("in/net.yaml", LAYERS)
    (path.parent / "link.yaml").symlink_to(outside / "x.yaml")
    (path.parent / "null.yaml").symlink_to("/dev/zero")
    (path.parent / "linked").symlink_to(outside)
    (path.parent / "folder.yaml").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(path.parent / "pipe.yaml")
    for target in ("link.yaml", "null.yaml", "linked/x.yaml", "folder.yaml", "pipe.yaml", "net.yaml/x", "none/x.yaml"):
        path.write_text(LAYERS + f"include: {target}\n")
        error = refusal(path)
        assert error.code == "G181", target
        assert f"cannot include {target}" in error.message
        assert "secret" not in str(error)


def test_a_folder_swapped_for_a_link_is_not_followed(write, tmp_path, monkeypatch):
    """The swap happens after the path was checked and before the file is opened."""
    write("in/parts/x.yaml", "vars: {inside: 1}")
    write("outside/x.yaml", "vars: {secret: 1}")
    path = write("in/net.yaml", LAYERS + "include: parts/x.yaml\n")
    checked = documents.relative_parts

    def swap(written, place):
        parts = checked(written, place)
        (path.parent / "parts").rename(path.parent / "moved")
        (path.parent / "parts").symlink_to(tmp_path / "outside")
        return parts

    monkeypatch.setattr(documents, "relative_parts", swap)
    assert refusal(path).code == "G181"


@pytest.mark.parametrize("count", [1, 2, 50])
def test_a_circle_is_printed(write, count):
    for i in range(count):
        write(f"f{i}.yaml", f"include: f{(i + 1) % count}.yaml\n")
    message = refusal(write("f0.yaml", LAYERS + f"include: f{1 % count}.yaml\n")).message
    assert message == "the files include each other: " + " -> ".join(f"f{i % count}.yaml" for i in range(count + 1))


def test_a_diamond_is_read_once(write, monkeypatch):
    for i in range(30):
        write(f"f{i}.yaml", f"include: [f{i + 1}.yaml, ./f{i + 1}.yaml]\n")
    write("f30.yaml", "vars: {a: 1}")
    path = write("net.yaml", LAYERS + "include: f0.yaml\n")
    document = read_document(path)
    assert document.tree["vars"] == {"a": 1}
    assert len(document.texts) == 32


def test_files_and_bytes_are_counted_over_all(write):
    write("a.yaml", "vars: {a: 1}")
    write("b.yaml", "vars: {b: 1}")
    path = write("net.yaml", LAYERS + "include: [a.yaml, b.yaml]\n")
    assert "more than 2 files" in refusal(path, Limits(files=2)).message
    assert "together have more than 70 bytes" in refusal(path, Limits(total_bytes=70)).message


@pytest.mark.parametrize("value", ["3", "{a: b}", "[[a]]", "true"])
def test_a_path_is_text(write, value):
    assert "expects a path or a list of paths" in refusal(write("net.yaml", LAYERS + f"extends: {value}\n")).message


def test_an_error_inside_an_included_file_has_its_place_and_none_of_its_text(write):
    write("x.yaml", "root:x:0:0:root:/root:/bin/bash\nsecond\n")
    error = refusal(write("net.yaml", LAYERS + "include: x.yaml\n"))
    assert error.place is not None
    assert error.place.path.endswith("x.yaml")
    assert "/bin/bash" not in str(error)
