"""Zips and tars of images: names, encodings, links, what cannot be read."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
from dataclasses import replace

import pytest

from graphc.data.archives import open_archive
from graphc.data.sources import Archive
from graphc.errors import DataError

from .test_class_folders import CAFE_NFC, CAFE_NFD, LIMIT, _as_tar, _as_zip, _classes, _image, _reds


def test_a_folder_of_an_archive_that_is_not_there(tmp_path):
    source = _as_zip({f"pets/{name}": data for name, data in _classes("cat", "dog").items()}, tmp_path)
    with pytest.raises(DataError, match=r"inside: expected a folder of the archive, found 'pet' \(did you mean 'pets'"):
        source.model_copy(update={"inside": "pet"}).load(tmp_path, LIMIT)


def test_backslashes_in_names(tmp_path):
    source = _as_zip(
        {f"pets\\{name}".replace("/", "\\"): data for name, data in _classes("cat", "dog").items()}, tmp_path
    )
    assert source.load(tmp_path, LIMIT).classes == ("cat", "dog")


@pytest.mark.parametrize("pack", [_as_zip, _as_tar])
def test_absolute_names_and_names_that_lead_out(tmp_path, pack):
    files = {f"/home/me/{name}": data for name, data in _classes("cat", "dog").items()}
    found = pack({**files, "../../etc/0.png": _image(), "home/me/cat/../../../x.png": _image()}, tmp_path)
    found = found.load(tmp_path, LIMIT)
    assert found.classes == ("cat", "dog")
    assert _reds(found) == [0, 1, 10, 11]
    assert "2 names that lead out of the archive" in found.notes[1]


@pytest.mark.parametrize("pack", [_as_zip, _as_tar])
def test_of_two_files_with_one_name_the_later_is_read(tmp_path, pack):
    source = pack(_classes("cat", "dog"), tmp_path)
    if pack is _as_zip:
        with zipfile.ZipFile(tmp_path / source.path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("cat/0.png", _image(200))
    else:
        with tarfile.open(tmp_path / source.path, "a") as archive:
            info = tarfile.TarInfo("cat/0.png")
            info.size = len(_image(200))
            archive.addfile(info, io.BytesIO(_image(200)))
    found = source.load(tmp_path, LIMIT)
    assert _reds(found) == [200, 1, 10, 11]
    assert found.notes == ("left out: 1 earlier file of the same name (cat/0.png)",)


@pytest.mark.parametrize("pack", [_as_zip, _as_tar])
def test_names_of_many_folders_are_refused(tmp_path, pack):
    with pytest.raises(DataError, match="a name has 20,001 parts, the limit is 64"):
        pack({"a/" * 20_000 + "0.png": _image()}, tmp_path).load(tmp_path, LIMIT)


def _patched(path, flag, value, name=None):
    """A zip's headers with flags set, or names put in place of those of the same length."""
    data = bytearray(path.read_bytes())
    for sign, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(sign)
        while start >= 0:
            flags = struct.unpack_from("<H", data, start + at)[0]
            struct.pack_into("<H", data, start + at, flags | flag if value else flags & ~flag)
            start = data.find(sign, start + 4)
    for old, new in name or ():
        data = data.replace(old, new)
    path.write_bytes(data)


def test_names_in_utf8_without_the_flag(tmp_path):
    """As macOS's archiver writes them, decomposed."""
    source = _as_zip(_classes(CAFE_NFD, "tea"), tmp_path)
    _patched(tmp_path / source.path, 0x800, False)
    with zipfile.ZipFile(tmp_path / source.path) as archive:
        assert archive.namelist()[0] != f"{CAFE_NFD}/0.png"
    found = source.load(tmp_path, LIMIT)
    assert found.classes == (CAFE_NFC, "tea")
    assert _reds(found) == [0, 1, 10, 11]


def test_names_in_another_alphabet_are_said(tmp_path):
    source = _as_zip(_classes("caf_", "tea"), tmp_path)
    _patched(tmp_path / source.path, 0, True, [(b"caf_", b"caf\x82")])
    found = source.load(tmp_path, LIMIT)
    assert found.classes == (CAFE_NFC, "tea")
    assert found.notes[0].startswith("2 names that are not in UTF-8 (read as cp437)")


def test_encrypted_files(tmp_path):
    source = _as_zip(_classes("cat", "dog"), tmp_path)
    _patched(tmp_path / source.path, 1, True)
    with pytest.raises(DataError, match=r"data\.zip\[cat/0\.png\].*encrypted.*\(4 such files\)"):
        source.load(tmp_path, LIMIT)


def test_members_that_cannot_be_read_are_counted_where_the_recipe_says_so(tmp_path):
    source = _as_zip(_classes("cat", "dog"), tmp_path)
    with zipfile.ZipFile(tmp_path / source.path, "a", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("cat/2.png", _image())
        archive.writestr("cat/notes.txt", b"x")
    with pytest.raises(DataError, match=r"cat/2\.png.*stored or deflated, found one compressed by bzip2"):
        source.load(tmp_path, LIMIT)
    found = source.model_copy(update={"bad_files": "skip"}).load(tmp_path, LIMIT)
    assert len(found) == 4
    assert len(found.skipped) == 1


def test_links_in_a_tar(tmp_path):
    source = _as_tar(_classes("cat", "dog"), tmp_path)
    with tarfile.open(tmp_path / source.path, "a") as archive:
        for name, kind, target in (
            ("dog/hard.png", tarfile.LNKTYPE, "./cat/1.png"),
            ("dog/soft.png", tarfile.SYMTYPE, "0.png"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    found = source.load(tmp_path, LIMIT)
    assert _reds(found) == [0, 1, 10, 11, 1]
    assert found.notes == ("left out: 1 link or device (soft.png)",)


@pytest.mark.parametrize(("mode", "how"), [("w:gz", "gzip"), ("w:bz2", "bzip2"), ("w:xz", "xz")])
def test_compressed_tars_say_what_to_do(tmp_path, mode, how):
    with tarfile.open(tmp_path / "a.tar", mode) as archive:
        archive.add(__file__)
    with pytest.raises(DataError, match=f"not compressed, found one compressed with {how}") as caught:
        Archive(path="a.tar", size=(4, 6)).load(tmp_path, LIMIT)
    assert "pack it anew as a zip" in caught.value.notes[0]


def test_an_archive_without_classes(tmp_path):
    source = _as_zip({"b.png": _image(2), "a/a.png": _image(1), "x.txt": b"x"}, tmp_path)
    found = source.model_copy(update={"labeled": False}).load(tmp_path, LIMIT)
    assert _reds(found) == [1, 2]
    assert found.notes == ("left out: 1 file that is no image (.txt)",)


@pytest.mark.parametrize(("offset", "found"), [(-400, "found -"), (2**63, "found 9,223")])
def test_a_zip_whose_directory_leads_out_of_the_file(tmp_path, offset, found):
    source = _as_zip(_classes("cat", "dog"), tmp_path)
    archive = open_archive(tmp_path / source.path)
    name, member = next(iter(archive.members.items()))
    archive.members[name] = replace(member, offset=offset)
    with pytest.raises(DataError, match=f"data.zip.{name}.: error.G406.: .*expected a place in it, {found}"):
        archive.read(name)


@pytest.mark.posix
def test_an_archive_that_is_gone_has_nothing_open(tmp_path):
    source = _as_zip(_classes("cat", "dog"), tmp_path)
    source.load(tmp_path, LIMIT).inputs["image"][0:1]
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        source.load(tmp_path, LIMIT).inputs["image"][0:1]
    assert len(os.listdir("/dev/fd")) <= before
