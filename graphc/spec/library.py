"""The blocks that come with graphc, below `blocks/` of the zoo: any spec may include them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from graphc.spec.forms.block import Block, read_blocks
from graphc.spec.source import SpecMap, load_file
from graphc.spec.zoo import PREFIX, zoo_folder

FOLDER = "blocks"


@cache
def library() -> Mapping[str, tuple[str, Block]]:
    """Block -> (what a spec includes to have it, the block), by file and as written there."""
    return {block.name: (f"{PREFIX}{FOLDER}/{stem}", block) for stem, block in _blocks()}


def _blocks() -> Iterator[tuple[str, Block]]:
    for path in sorted((zoo_folder() / FOLDER).glob("*.yaml")):
        tree = load_file(path)
        assert isinstance(tree, SpecMap)
        yield from ((path.stem, block) for block in read_blocks(tree["blocks"], lambda part, _: part()).values())
