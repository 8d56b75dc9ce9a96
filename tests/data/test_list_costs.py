"""Lists with tens of thousands of columns."""

from __future__ import annotations

import pytest
from PIL import Image

from graphc.data.sources import ImageList
from graphc.errors import DataError
from tests.costs import little

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
