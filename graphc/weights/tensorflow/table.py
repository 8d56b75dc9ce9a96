"""LevelDB's tables: sorted keys with values, in blocks with checksums, as TensorFlow writes them."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator
from typing import BinaryIO

from graphc.weights.file import MAX_ENTRIES
from graphc.weights.tensorflow.crc32c import crc32c, masked
from graphc.weights.tensorflow.messages import Damaged, varint
from graphc.weights.tensorflow.snappy import decompressed

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48
TRAILER = struct.Struct("<BI")
"""Behind a block: how it is compressed, and its checksum."""
MAX_BLOCK = 64 * 2**20
"""Bytes of a block of keys, and of one that was compressed."""
MAX_KEY = 65_536
MAX_KEYS = 16 * 2**20
"""Bytes of all keys, with what they share with those before them and is not written again."""
KEPT = 32 * 2**20
"""Bytes of blocks that are kept for the next value."""


class Table:
    """The values of an open file by key; a `Damaged` where its bytes are not as they should be."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        if self._size < FOOTER:
            raise Damaged(f"expected at least {FOOTER} bytes, found {self._size}")
        file.seek(self._size - FOOTER)
        footer = file.read(FOOTER)
        if not footer.endswith(MAGIC):
            raise Damaged("expected the end of a checkpoint, found other bytes: it is cut off, or none")
        _, at = self._handle(footer, 0)
        index, _ = self._handle(footer, at)
        if index[1] > MAX_BLOCK:
            raise Damaged(f"expected an index of at most {MAX_BLOCK:,} bytes, found {index[1]:,}")
        self._lasts: list[bytes] = []
        self._blocks: list[tuple[int, int]] = []
        end = 0
        for key, value in self._entries(index):
            start, size = self._handle(bytes(value), 0)[0]
            if start < end:
                raise Damaged(f"expected a block from {end:,} on, behind the one before, found {start:,}")
            end = start + size + TRAILER.size
            self._lasts.append(key)
            self._blocks.append((start, size))
        self._kept: dict[int, dict[bytes, memoryview]] = {}
        """Blocks by their place, the last that was read at the end."""
        self._kept_bytes = 0
        self._seen: set[int] = set()
        """The places of blocks that were read, kept or not."""
        self._keys = 0
        """Keys of these, all together."""

    def get(self, key: bytes) -> memoryview:
        """The value of a key; the block that it lies in is read."""
        place = bisect_left(self._lasts, key)
        if place == len(self._blocks):
            raise Damaged("expected an array of this name, found none")
        found = self._read(place).get(key)
        if found is None:
            raise Damaged("expected an array of this name, found none")
        return found

    def _read(self, place: int) -> dict[bytes, memoryview]:
        """The keys and values of a block; small ones are read once, so that the order of questions costs nothing."""
        if place not in self._kept:
            while self._kept and self._blocks[place][1] + self._kept_bytes > KEPT:
                oldest = next(iter(self._kept))
                self._kept_bytes -= self._bytes(oldest)
                del self._kept[oldest]
            self._kept[place] = dict(self._of_block(place))
            self._kept_bytes += self._bytes(place)
            if place not in self._seen:
                self._seen.add(place)
                self._keys += len(self._kept[place])
            if self._keys > MAX_ENTRIES:
                raise Damaged(f"expected at most {MAX_ENTRIES:,} keys, found more")
        return self._kept[place]

    def _bytes(self, place: int) -> int:
        """About what a block takes in memory."""
        values = self._kept[place].values()
        return max(self._blocks[place][1], sum(map(len, values)))

    def _of_block(self, place: int) -> Iterator[tuple[bytes, memoryview]]:
        """The keys and values of a block, which lie between those of its neighbors."""
        before = self._lasts[place - 1] if place else None
        for key, value in self._entries(self._blocks[place]):
            if key > self._lasts[place] or (before is not None and key <= before):
                raise Damaged("expected keys in order, found others")
            yield key, value

    def items(self) -> Iterator[tuple[bytes, memoryview]]:
        """Every key and its value, in order; all blocks are read."""
        if sum(size for _, size in self._blocks) > MAX_BLOCK:
            raise Damaged(f"expected an index of at most {MAX_BLOCK:,} bytes, found more")
        left = MAX_KEYS
        for place in range(len(self._blocks)):
            for key, value in self._of_block(place):
                left -= len(key)
                if left < 0:
                    raise Damaged(f"expected keys of at most {MAX_KEYS:,} bytes together, found more")
                yield key, value

    def _handle(self, data: bytes, at: int) -> tuple[tuple[int, int], int]:
        """((where a block begins, its bytes), where that was said)."""
        start, at = varint(data, at)
        size, at = varint(data, at)
        if start + size + TRAILER.size > self._size:
            raise Damaged(f"expected a block within {self._size:,} bytes, found {start:,} to {start + size:,}")
        return (start, size), at

    def _entries(self, block: tuple[int, int]) -> Iterator[tuple[bytes, memoryview]]:
        """The keys and values of a block, whose keys are written without what they share with the one before."""
        data = self._block(block)
        if len(data) < 4:
            raise Damaged("expected a block of keys, found none")
        restarts = int.from_bytes(data[-4:], "little")
        end = len(data) - 4 - 4 * restarts
        if end < 0:
            raise Damaged("expected a block of keys, found none")
        at, key, count, total = 0, b"", 0, 0
        while at < end:
            shared, at = varint(data, at)
            fresh, at = varint(data, at)
            length, at = varint(data, at)
            count += 1
            if shared > len(key) or shared + fresh > MAX_KEY or fresh + length > end - at or count > MAX_ENTRIES:
                raise Damaged("expected a block of keys, found other bytes")
            before, key = key, key[:shared] + bytes(data[at : at + fresh])
            at += fresh
            total += len(key)
            if (count > 1 and key <= before) or total > MAX_KEYS:
                raise Damaged(f"expected keys in order, of at most {MAX_KEYS:,} bytes together, found others")
            yield key, data[at : at + length]
            at += length

    def _block(self, block: tuple[int, int]) -> memoryview:
        start, size = block
        self._file.seek(start)
        data = memoryview(self._file.read(size + TRAILER.size))
        if len(data) != size + TRAILER.size:
            raise Damaged("expected a block, found the end of the file")
        kind, checksum = TRAILER.unpack(data[size:])
        if masked(crc32c(data[: size + 1])) != checksum:
            raise Damaged("the checksum of a block is not that of its bytes: the file is damaged")
        if kind == 0:
            return data[:size]
        if kind != 1 or size > MAX_BLOCK:
            raise Damaged(f"expected a block as it is or compressed with Snappy, found the kind {kind}")
        return memoryview(decompressed(bytes(data[:size]), MAX_BLOCK))
