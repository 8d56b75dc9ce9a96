"""`watch` and `serve`: a spec again when it, or a file that it includes, is saved."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphc.cli.writing import EDITORS as CHOICES
from graphc.cli.writing import watch as command
from graphc.errors import Place
from graphc.report.live import EDITORS, Watched, address_of, live_spec, watch

NET = "graphc: 1\ninputs: {image: [N, 8, 8, 3]}\ninclude: parts.yaml\nlayers: [unit: {name: a}]\n"
PARTS = "blocks: {{unit: {{layers: [conv2d: {{filters: {}, kernel: 1, activation: relu}}]}}}}\n"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "parts.yaml").write_text(PARTS.format(4), encoding="utf-8")
    (tmp_path / "net.yaml").write_text(NET, encoding="utf-8")
    return tmp_path / "net.yaml"


def save(path: Path, text: str) -> None:
    """As an editor does: another file in its place, with a time of its own."""
    other = path.with_suffix(".new")
    other.write_text(text, encoding="utf-8")
    now = time.time_ns() + 1_000_000_000
    os.utime(other, ns=(now, now))
    os.replace(other, path)


def test_an_included_file_counts(net: Path) -> None:
    shown: list[str] = []

    def show(watched: Watched) -> None:
        shown.append("" if watched.plan is None else str(watched.plan.by_name["a/conv2d"].shape[-1]))
        changes = [PARTS.format(8), "blocks: {unit: {layers: [conv2d: 1]}}\n", PARTS.format(16), ""]
        if len(shown) < 4:
            save(net.parent / "parts.yaml", changes[len(shown) - 1])

    watch(Watched(str(net)), show, rounds=4)
    assert shown == ["4", "8", "", "16"]


def test_a_spec_that_is_gone_for_a_moment(net: Path) -> None:
    watched = Watched(str(net))
    watched.read()
    net.unlink()
    assert watched.has_changed()
    watched.read()
    assert "G101" in watched.said()
    assert not watched.has_changed()
    net.write_text(NET, encoding="utf-8")
    assert watched.has_changed()


def test_the_command_prints_what_check_prints(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watched, "has_changed", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    result = CliRunner().invoke(command, [str(net), "--check"])
    assert result.output.startswith(f"{net}: no errors")


def test_the_page_follows(net: Path) -> None:
    with live_spec(Watched(str(net)), "vscode") as address:
        page = urllib.request.urlopen(address).read().decode()
        assert "net.yaml" in page
        assert "{{" not in page
        first = json.load(urllib.request.urlopen(f"{address}state.json"))
        assert first["rows"][0][:3] == ["a/conv2d", "conv2d", "8×8×4"]
        assert first["picture"].startswith("<svg")
        assert first["places"]["a"].endswith("parts.yaml:1:26")
        save(net.parent / "parts.yaml", "blocks: {unit: {layers: [conv3d: 1]}}\n")
        second = json.load(urllib.request.urlopen(f"{address}state.json"))
        assert second["number"] == 2
        assert second["picture"] == ""
        assert "error[G113]" in second["said"][0][0]
        assert second["said"][0][1].startswith("vscode://file/")
        request = urllib.request.Request(address, headers={"Host": "evil.example:80"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request)


def test_addresses() -> None:
    assert set(CHOICES.choices) == set(EDITORS)
    place = Place("/a b/net.yaml", 3, 5)
    if os.sep == "/":
        assert address_of(place, "vscode") == "vscode://file/a%20b/net.yaml:3:5"
        assert address_of(place, "idea") == "idea://open?file=/a%20b/net.yaml&line=3&column=5"
    assert address_of(None, "zed") == ""
