"""Images, a harness for each of the formats, and masks."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from graphc.data.endings import formats
from graphc.data.images import Decoding, decode_image, decode_mask_with_tag
from graphc.data.value_range import ImageValues
from tests.fuzz.harness import Harness

PIXELS = 1_000_000
"""Of an image, at most."""
OWN = ImageValues(dtype="float32")
REDUCED = ImageValues(dtype="uint8", reduced=True)
MODES = {
    "JPEG": ("RGB", "L", "CMYK"), "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"), "BMP": ("RGB", "P", "1"),
    "GIF": ("P", "L"), "PPM": ("RGB", "L", "1", "I;16"), "TIFF": ("RGB", "CMYK", "I;16", "L"),
    "WEBP": ("RGB", "RGBA"), "AVIF": ("RGB",), "JPEG2000": ("RGB", "L"),
}  # fmt: skip
SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"BM",
    b"GIF89a",
    b"P6\n",
    b"II*\0",
    b"MM\0*",
    b"RIFF",
    b"WEBP",
    b"IHDR",
)


def image(mode: str, kind: str, orientation: int = 0) -> bytes:
    """A small one, with an EXIF tag if asked."""
    rng = np.random.default_rng(0)
    if mode in ("F", "I;16"):
        values = rng.integers(0, 60_000, (9, 12)).astype(np.float32 if mode == "F" else np.uint16)
        made = Image.fromarray(values)
    else:
        made = Image.fromarray(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    made.save(file, kind, **({"exif": exif} if orientation else {}))
    return file.getvalue()


class AnyImage(Harness):
    """Decoded in 8 bits and in float32."""

    kind: str

    def seeds(self) -> Sequence[bytes]:
        turned = [image("RGB", self.kind, 6)] if self.kind in ("JPEG", "PNG", "TIFF", "WEBP") else []
        return [*(image(mode, self.kind) for mode in MODES[self.kind]), *turned]

    def words(self) -> Sequence[bytes]:
        return SIGNATURES

    def read(self) -> None:
        data = self.path.read_bytes()
        decode_image(data, "input", Decoding(3, (8, 8), PIXELS, values=None))
        decode_image(data, "input", Decoding(4, None, PIXELS, values=OWN))
        decode_image(data, "input", Decoding(1, None, PIXELS, values=REDUCED))


def of_kind(kind: str) -> type[AnyImage]:
    return type(f"{kind}Image", (AnyImage,), {"name": f"image, {kind}", "kind": kind})


IMAGES = tuple(of_kind(kind) for kind in formats())


class PngChunks(AnyImage):
    """PNG whose chunks have the right checksums, whatever is in them."""

    name = "image, PNG chunks"
    kind = "PNG"

    def packed(self, data: bytes) -> bytes:
        found, at = bytearray(data[:8]), 8
        while at + 12 <= len(data):
            length = min(int.from_bytes(data[at : at + 4], "big"), len(data) - at - 12)
            body = data[at + 4 : at + 8 + length]
            found += struct.pack(">I", length) + body + struct.pack(">I", zlib.crc32(body))
            at += 12 + length
        return bytes(found + data[at:])


class Mask(AnyImage):
    """Class indices."""

    name = "mask"
    kind = "PNG"

    def seeds(self) -> Sequence[bytes]:
        of_png = [image(mode, "PNG") for mode in ("L", "P", "1", "I;16")]
        return [*of_png, image("L", "TIFF"), image("P", "GIF"), image("L", "BMP")]

    def read(self) -> None:
        decode_mask_with_tag(self.path.read_bytes(), "input", PIXELS)
