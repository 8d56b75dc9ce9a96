"""Where examples come from, as a recipe writes it: `{idx: {images: …, labels: …}}`.

`OWN` is the catalogue, a line a kind; `SOURCES` has those of installed packages too. What they share is in `base`.
"""

from __future__ import annotations

from graphc.data.sources.arrays import Cifar10, Idx, Npz
from graphc.data.sources.base import Source
from graphc.data.sources.images import Archive, ImageFiles, ImageFolder
from graphc.data.sources.listed import Coco, ImageList
from graphc.data.sources.made import Digits, Shapes
from graphc.data.sources.plugged import plugged_sources
from graphc.data.sources.shards import WebDataset

OWN: tuple[type[Source], ...] = (
    *(Npz, Idx, Cifar10),
    *(ImageFolder, Archive, WebDataset, ImageList, Coco),
    *(Shapes, Digits),
)
SOURCES = (*OWN, *plugged_sources({source.kind for source in OWN}))

__all__ = [
    "OWN",
    "SOURCES",
    "Archive",
    "Cifar10",
    "Coco",
    "Digits",
    "Idx",
    "ImageFiles",
    "ImageFolder",
    "ImageList",
    "Npz",
    "Shapes",
    "Source",
    "WebDataset",
]
