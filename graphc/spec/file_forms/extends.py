"""The spec that a spec starts from."""

from __future__ import annotations

from typing import ClassVar

from graphc.spec.file_forms.base import FileForm
from graphc.spec.overlay import OWN_KEYS


class Extends(FileForm):
    """The spec to start from, below this file's folder, or zoo/NAME; or several."""

    key = "extends"
    taken: ClassVar[tuple[str, ...]] = OWN_KEYS
    example = "extends: zoo/resnet50"
