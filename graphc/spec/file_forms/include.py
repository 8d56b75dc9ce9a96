"""Files that a spec takes definitions from."""

from __future__ import annotations

from typing import ClassVar

from graphc.spec.file_forms.base import FileForm


class Include(FileForm):
    """Files to take vars, blocks, arg_scopes and pretrained from, below this file's folder, or zoo/NAME."""

    key = "include"
    taken: ClassVar[tuple[str, ...]] = ("vars", "arg_scopes", "blocks", "pretrained")
    example = "include: [zoo/blocks/cbam]"
