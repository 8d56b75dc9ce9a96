"""extends and include: what is merged, and that nothing outside the folder is ever read."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from graphc.compiler import plan_spec
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


def test_a_file_that_is_swapped_for_a_link_all_the_time_is_never_read_elsewhere(write, tmp_path):
    """A thread exchanges file and link as fast as it can, a thousand reads long."""
    inside = write("in/x.yaml", "vars: {inside: 1}")
    outside = write("outside/x.yaml", "vars: {secret: 1}")
    path = write("in/net.yaml", LAYERS + "include: x.yaml\n")
    (tmp_path / "in" / "file").write_text(inside.read_text())
    (tmp_path / "in" / "link").symlink_to(outside)
    done = threading.Event()

    def exchange():
        while not done.is_set():
            for name in ("link", "file"):
                spare = tmp_path / "in" / f"{name}.spare"
                if name == "link":
                    os.symlink(outside, spare)
                else:
                    spare.write_text("vars: {inside: 1}")
                os.replace(spare, inside)

    thread = threading.Thread(target=exchange)
    thread.start()
    read = refused = 0
    try:
        for _ in range(1000):
            try:
                assert read_document(path).tree["vars"] == {"inside": 1}
                read += 1
            except SpecError as error:
                assert error.code in ("G103", "G181")  # noqa: PT017  the file is empty for a moment
                assert "secret" not in str(error)  # noqa: PT017
                refused += 1
    finally:
        done.set()
        thread.join()
    assert read
    assert refused


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


def test_the_zoo_is_extended_from_anywhere(write):
    path = write(
        "parts/net.yaml",
        "graphc: 1\nextends: zoo/mobilenet_v1_025\nname: mine\nvars: {classes: 10}\nexpect: null\n",
    )
    plan = plan_spec(path)
    assert plan.graph.name == "mine"
    assert plan.nodes[-1].shape[-1] == 10
    assert {name.partition("/")[0] for name in plan.variables} == {"MobilenetV1"}
    texts = list(read_document(path).texts)
    assert texts[:3] == ["net.yaml", "zoo/mobilenet_v1_025.yaml", "zoo/mobilenet_v1.yaml"]


@pytest.mark.parametrize("key", ["extends: zoo/vgg_16.yaml", "extends: [zoo/vgg_16]", "extends: ./zoo/vgg_16"])
def test_a_zoo_spec_with_and_without_its_ending(write, key):
    assert plan_spec(write("net.yaml", f"graphc: 1\n{key}\n")).graph.name == "vgg_16"


def test_a_family_of_the_zoo_is_included(write):
    path = write(
        "net.yaml",
        "graphc: 1\ninclude: zoo/families/inception\ninputs: {x: [N, 9, 9, 3]}\narg_scope: inception\n"
        "layers: [conv2d: {filters: 4, kernel: 3}]\n",
    )
    assert [each.node.layer.kind for each in plan_spec(path).nodes] == ["conv2d", "batch_norm", "relu"]


def test_a_file_of_ones_own_comes_before_the_zoo(write):
    write("zoo/vgg_16.yaml", "graphc: 1\nvars: {own: 1}\n")
    tree = read_document(write("net.yaml", LAYERS + "extends: zoo/vgg_16\n")).tree
    assert tree["vars"] == {"own": 1}


def test_the_files_of_a_spec_in_a_folder_are_the_same_spec(write, tmp_path, monkeypatch):
    """As a run's folder has them: whatever the zoo has become, or where there is none."""
    net = "graphc: 1\nextends: zoo/resnet18\nname: mine\n"
    document = read_document(write("a/net.yaml", net))
    for name, text in document.texts.items():
        write(f"b/{name}", text)
    monkeypatch.setattr(documents, "zoo_folder", lambda: tmp_path / "none")
    again = read_document(tmp_path / "b/net.yaml")
    assert again.texts == document.texts
    assert again.tree == document.tree


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("zoo/mobilenet_v1_02", "the zoo has no 'mobilenet_v1_02' (did you mean 'mobilenet_v1_025'?)"),
        ("zoo/nothing_like_it", "the zoo has no 'nothing_like_it' (graphc list shows the zoo)"),
        ("zoo/families/inceptio", "the zoo has no 'families/inceptio'"),
        ("vgg_16", "there is no file; the zoo has it: zoo/vgg_16"),
        ("vgg_16.yaml", "there is no file; the zoo has it: zoo/vgg_16"),
    ],
)
def test_what_the_zoo_does_not_have(write, written, expected):
    path = write("net.yaml", LAYERS + f"extends: {written}\n")
    error = refusal(path)
    assert (error.code, error.place) == ("G181", Place(str(path), 3, 10))
    assert expected in error.message


def test_a_link_in_ones_own_zoo_folder_is_refused(write, tmp_path):
    write("outside/vgg_16.yaml", "vars: {secret: 1}")
    path = write("in/net.yaml", LAYERS + "extends: zoo/vgg_16\n")
    (path.parent / "zoo").symlink_to(tmp_path / "outside")
    assert refusal(path).code == "G181"


BASE = (
    "graphc: 1\ninputs: {x: [N, 4], y: [N, 4]}\nblocks: {k: {layers: [relu]}}\n"
    "outputs: {o: p, q: r}\nexpect: {params: 1, macs: 2}\n"
)


def test_null_drops_what_the_base_has(write):
    write("base.yaml", BASE)
    write("between.yaml", "extends: base.yaml\nexpect: {macs: null}\n")
    net = "extends: between.yaml\ninputs: {y: null}\nblocks: {k: null}\noutputs: {q: null}\nexpect: {params: '<= 3'}\n"
    tree = read_document(write("net.yaml", net)).tree
    assert (list(tree["inputs"]), tree["blocks"], tree["outputs"]) == (["x"], {}, {"o": "p"})
    assert tree["expect"] == {"params": "<= 3"}
    tree = read_document(write("net.yaml", "extends: [base.yaml]\nexpect: null\noutputs: null\nvars: {a: null}\n")).tree
    assert (tree["expect"], tree["outputs"], tree["vars"]) == (None, None, {"a": None})


def test_a_budget_of_the_base_that_does_not_hold_says_how_to_drop_it(write):
    path = write("net.yaml", "graphc: 1\nextends: zoo/lenet5\nvars: {classes: 7}\n")
    with pytest.raises(SpecError, match=r"`expect: \{params: null\}` there drops it") as caught:
        plan_spec(path)
    assert caught.value.place.path.endswith("lenet5.yaml")
    path.write_text(path.read_text() + "expect: {params: 5, macs: null}\n")
    with pytest.raises(SpecError) as caught:
        plan_spec(path)
    assert caught.value.place == Place(str(path), 4, 18)
    assert "drops" not in str(caught.value)


def test_null_for_what_no_base_has_is_an_error(write):
    path = write("net.yaml", "graphc: 1\nextends: zoo/lenet5\nexpect: {parms: null}\n")
    with pytest.raises(SpecError, match="did you mean 'params'"):
        plan_spec(path)
