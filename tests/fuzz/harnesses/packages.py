"""npm's package of onnxruntime-web, which a user names."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence

from graphc.web.runtime_package import BUILDS, archived_files
from tests.fuzz.harness import Harness

BUILD = BUILDS["wasm",]


class OrtWeb(Harness):
    """The archive within the compression."""

    name = "onnxruntime-web.tgz"
    suffix = ".tgz"

    def seeds(self) -> Sequence[bytes]:
        return [archive(tarfile.PAX_FORMAT), archive(tarfile.GNU_FORMAT)]

    def words(self) -> Sequence[bytes]:
        return (b"package/dist/", *(name.encode() for name in BUILD.files), b"ustar", b"77777777777", b"x", b"L")

    def packed(self, data: bytes) -> bytes:
        return gzip.compress(data, 1, mtime=0)

    def read(self) -> None:
        archived_files(self.path, BUILD)


def archive(form: int) -> bytes:
    """With a name that needs a header of its own, and a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as made:
        for name in ("package/" + "long/" * 30 + "name.js", *(f"package/dist/{name}" for name in BUILD.files)):
            member = tarfile.TarInfo(name)
            member.size = 20
            made.addfile(member, io.BytesIO(bytes(range(20))))
        link = tarfile.TarInfo("package/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        made.addfile(link)
    return buffer.getvalue()
