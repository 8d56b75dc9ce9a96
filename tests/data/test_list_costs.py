"""Lists with tens of thousands of columns."""

from __future__ import annotations

import pytest
from PIL import Image

from graphc.data.sources import ImageList
from graphc.data.target_kind import TargetKind
from graphc.data.wanted import ANYTHING, Want, Wanted
from graphc.errors import DataError
from tests.costs import little

IMAGES = '{"image": "a.png", "t": []},' * 10_000
SEQUENCE, SEVERAL = TargetKind.SEQUENCE, TargetKind.MULTI_LABEL
MANY = 40_000
COLUMNS = {
    "a header": ("csv", "image," + ",".join(f"c{n}" for n in range(MANY)) + "\na.png" + ",1" * MANY, None),
    "the last one twice": ("csv", "image," + ",".join(f"c{n}" for n in range(MANY)) + ",c9", "found 'c9' twice"),
    "keys, the last one twice": (
        "json",
        '[{"image": "a.png", ' + ", ".join(f'"c{n}": 1' for n in range(MANY)) + ', "c9": 2}]',
        "the key 'c9' stands twice",
    ),
    "key points": (
        "csv",
        "image," + ",".join(f"x{n},y{n}" for n in range(1, 5_000)) + ("\na.png" + ",1,2" * 4_999) * 10,
        None,
    ),
}


@pytest.mark.posix
@pytest.mark.parametrize("name", COLUMNS)
def test_many_columns_are_looked_up_at_once(tmp_path, name):
    ending, text, words = COLUMNS[name]
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / f"list.{ending}").write_text(text)
    source = ImageList(path=f"list.{ending}", size=(4, 4))
    with little():
        if words is None:
            assert len(source.load(tmp_path, 2**30))
        else:
            with pytest.raises(DataError, match=words):
                source.load(tmp_path, 2**30)


NO_ROOM = {
    "key points": ('{"image": "a.png", "points": [' + "[1,1]," * 50_000 + "[1,1]]}", None, "10001×50001×3 values"),
    "labels in order": ('{"image": "a.png", "t": [' + "1," * 50_000 + "1]}", SEQUENCE, "10001×50001 values of 8"),
    "several labels": (
        ",".join(f'{{"image": "a.png", "t": ["{number}"]}}' for number in range(20_000)),
        SEVERAL,
        "30000×20000 values of 4",
    ),
    "a path of many steps": ('{"image": "' + "./" * 500_000 + 'a.png"}', None, "image: expected a path"),
    "a label that no array holds": ('{"image": "a.png", "t": [18446744073709551616]}', SEQUENCE, "labels up to"),
}


@pytest.mark.posix
@pytest.mark.parametrize("name", NO_ROOM)
def test_what_has_no_room_is_refused(tmp_path, name):
    last, kind, words = NO_ROOM[name]
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "list.json").write_text(f"[{IMAGES}{last}]")
    wanted = ANYTHING if kind is None else Wanted({"t": Want(frozenset({kind}))})
    with little(), pytest.raises(DataError, match=words):
        ImageList(path="list.json", size=(4, 4)).load(tmp_path, 10**9, wanted)


def test_columns_that_are_all_named(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(COLUMNS["a header"][1])
    columns = {"t": tuple(f"c{number}" for number in range(MANY))}
    source = ImageList(path="list.csv", size=(4, 4), columns=columns)
    with little():
        found = source.load(tmp_path, 2**30, Wanted({"t": Want(frozenset({SEVERAL}))}))
    assert found.targets["t"].shape == (1, MANY)


@pytest.mark.posix
@pytest.mark.parametrize("label", ["a" + "\u0301" * 200_000 + "\u0316" * 200_000, "\ufdfa" * 400_000])
def test_a_long_name_is_as_it_is(tmp_path, label):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "list.json").write_text(f'[{{"image": "a.png", "label": "{label}"}}]', encoding="utf-8")
    with little():
        assert ImageList(path="list.json", size=(4, 4)).load(tmp_path, 2**30).classes == (label,)


@pytest.mark.posix
def test_names_that_may_be_written_otherwise_are_looked_up_at_once(tmp_path):
    for number in range(300):
        (tmp_path / f"é{number}.png").touch()
    rows = ",".join(f'{{"image": "ö{number}.png"}}' for number in range(30_000))
    (tmp_path / "list.json").write_text(f"[{rows}]", encoding="utf-8")
    with little(), pytest.raises(DataError, match=r"at least 1,000 of 30,000 files are missing"):
        ImageList(path="list.json", size=(4, 4)).load(tmp_path, 2**30)
