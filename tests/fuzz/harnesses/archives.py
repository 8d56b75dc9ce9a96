"""Archives of images, and the names that make classes of folders."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.data.class_folders import Rules, Tree, classes_of
from graphc.data.left_out import LeftOut
from graphc.data.sources import Archive, WebDataset
from graphc.data.webdataset import Layout
from graphc.data.webdataset_index import about
from tests.data.shards import write_shard
from tests.fuzz.harness import Harness

from .images import image

LIMIT = 10_000_000
NAMES = ("cat/0.png", "cat/1.png", "dog/0.png")
SHARD = [
    (f"{at}.{ending}", data)
    for at in range(2)
    for ending, data in (("png", image("L", "PNG")), ("cls", b"%d" % at), ("json", b'{"age": 3}'))
]


def zipped(compression: int = zipfile.ZIP_STORED, names: Sequence[str] = NAMES) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), image("L", "PNG"), compression)
    return file.getvalue()


def tarred(form: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:", format=form) as archive:
        for name in NAMES:
            info = tarfile.TarInfo(name)
            info.size = len(image("L", "PNG"))
            archive.addfile(info, io.BytesIO(image("L", "PNG")))
    return file.getvalue()


class Zip(Harness):
    name = "archive.zip"
    suffix = ".zip"

    def seeds(self) -> Sequence[bytes]:
        nested = ("data/cat/0.png", "data/dog/é.png", "data/dog/", "__MACOSX/x.png", "data/readme.txt")
        return [zipped(), zipped(zipfile.ZIP_DEFLATED), zipped(names=nested)]

    def words(self) -> Sequence[bytes]:
        return [
            b"PK\x03\x04",
            b"PK\x01\x02",
            b"PK\x05\x06",
            b"PK\x06\x06",
            b"cat/",
            b"../",
            b".png",
            b"\\",
            b"\0",
            b"//",
        ]

    def read(self) -> None:
        source = Archive(path=self.path.name, size=(8, 8), max_pixels=1_000_000, bad_files="skip")
        examples = source.load(self.folder, LIMIT)
        examples.fingerprint()


class ZipMembers(Zip):
    """Names of members in lines, in a zip that is whole."""

    name = "archive.zip, names"
    is_text = True

    def seeds(self) -> Sequence[bytes]:
        return ["\n".join(NAMES).encode(), "data/train/a/1.png\ndata/train/b/2.jpg\nThumbs.db\né/1.png".encode()]

    def packed(self, data: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of names that are there twice
            for line in data.split(b"\n")[:40]:
                info = zipfile.ZipInfo("x")
                info.filename = line[:300].decode("utf-8", "replace")
                archive.writestr(info, image("L", "PNG"))
        return file.getvalue()


class Tar(Zip):
    name = "archive.tar"
    suffix = ".tar"

    def seeds(self) -> Sequence[bytes]:
        return [tarred(form) for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]

    def words(self) -> Sequence[bytes]:
        return [
            b"ustar\x0000",
            b"ustar  \0",
            b"././@LongLink",
            b"28 path=cat/0.png\n",
            b"size=",
            b"GNU.sparse.map=",
            b"\x80",
        ]


class WebDatasetTar(Tar):
    """A shard whose members are examples."""

    name = "webdataset"

    def seeds(self) -> Sequence[bytes]:
        found = []
        for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            file = io.BytesIO()
            write_shard(file, SHARD, form)
            found.append(file.getvalue())
        return found

    def words(self) -> Sequence[bytes]:
        return [*super().words(), b"0.png", b".json", b'{"age": ', b"[[[[", b".cls", b"1e999", b"\0"]

    def read(self) -> None:
        examples = shards(self.path.name).load(self.folder, LIMIT)
        examples.fingerprint()
        examples.order(0, 0)


class WebDatasetIndex(Harness):
    """What the file of an index says, as JSON."""

    name = "webdataset, index"
    suffix = ".npz"
    is_text = True

    def prepare(self) -> None:
        write_shard(self.folder / "shard.tar", SHARD)

    def seeds(self) -> Sequence[bytes]:
        file = io.BytesIO()
        write_shard(file, SHARD)
        with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as archive:
            places = [[each.offset_data, each.size] for each in archive if each.name.endswith(".png")]
        cells = {"label": ["1", "0"], "age": [3, 4]}
        return [json.dumps({"files": [0, 0], "places": places, "cells": cells}).encode()]

    def packed(self, data: bytes) -> bytes:
        source = shards("shard.tar")
        layout = Layout(source.image, source.mask, source.targets)
        try:
            said = json.loads(data)
            files, places = np.array(said["files"], np.int32), np.array(said["places"], np.int64)
            cells = said["cells"]
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return data
        texts = {"about": about(layout, ["shard.tar"], [self.folder / "shard.tar"], skip=False), "cells": cells}
        coded = {name: np.frombuffer(json.dumps(value).encode(), np.uint8) for name, value in texts.items()}
        file = io.BytesIO()
        np.savez(file, files=files, places=places, **coded)
        return file.getvalue()

    def read(self) -> None:
        shards("shard.tar", index=self.path.name).load(self.folder, LIMIT).fingerprint()


def shards(path: str, **settings: Any) -> WebDataset:
    return WebDataset(path=path, size=(8, 8), targets={"label": "cls", "age": "json.age"}, **settings)


class ClassFolders(Harness):
    """Paths of files, in lines, as those below a folder."""

    name = "class folders"
    is_text = True

    def seeds(self) -> Sequence[bytes]:
        return [
            b"cat/0.png\ncat/1.png\ndog/0.png", b"data/images/cat/0.png\ndata/images/dog/sub/1.jpg\ndata/x.txt",
            b"train/car/a.png\ntrain/bus/b.png\nREADME", "é/1.png\ne/2.png\n1.0/3.png\n.x/4.png".encode(),
        ]  # fmt: skip

    def words(self) -> Sequence[bytes]:
        return [
            b"train/",
            b"validation/",
            b"seg_test/",
            "e\u0301/".encode(),
            b"1/",
            b"Thumbs.db",
            b".hidden/",
            b"__MACOSX/",
            b".heic",
            b".png",
            b"//",
            b"1.0",
            b"True",
        ]

    def read(self) -> None:
        files = self.path.read_text(errors="surrogateescape").split("\n")
        folders = {"/".join(path.split("/")[:n]) for path in files for n in range(1, path.count("/") + 1)}
        classes_of(Tree(files, sorted(folders)), Rules("data", str), LeftOut())
