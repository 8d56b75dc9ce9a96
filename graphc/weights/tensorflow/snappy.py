"""Snappy, decompressed: how TensorFlow 1.1 and before could write the index of a checkpoint."""

from __future__ import annotations

from graphc.weights.tensorflow.messages import Damaged, varint


def decompressed(data: bytes, most: int) -> bytes:
    """The text; a `Damaged` where it is none, or longer than `most` bytes."""
    size, at = varint(data, 0)
    if size > most:
        raise Damaged(f"expected at most {most:,} bytes, found {size:,} compressed")
    text = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                width = length - 59
                length = int.from_bytes(data[at : at + width], "little")
                at += width
            part = data[at : at + length + 1]
            at += length + 1
        else:
            width = (1, 2, 4)[(tag & 3) - 1]
            offset = int.from_bytes(data[at : at + width], "little")
            at += width
            length = tag >> 2
            if tag & 3 == 1:
                length, offset = (length & 7) + 3, offset | tag >> 5 << 8
            part = _copied(text, offset, length + 1)
        text += part
        if len(text) > size or at > len(data):
            raise Damaged("expected compressed bytes, found others")
    if len(text) != size:
        raise Damaged(f"expected {size:,} bytes, found {len(text):,} compressed")
    return bytes(text)


def _copied(text: bytearray, offset: int, length: int) -> bytes:
    """A part of what is there; where it reaches beyond the end it repeats."""
    if not 0 < offset <= len(text):
        raise Damaged("expected compressed bytes, found others")
    part = bytes(text[len(text) - offset : len(text) - offset + length])
    return (part * (length // len(part) + 1))[:length]
