"""A checkpoint as a library publishes it, with weights as initialized, for pages that go on from one.

python -m tests.pages.published resnet18 torchvision resnet18-f37072fd.pth
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from graphc import weights
from graphc.compiler import initial_or_loaded, plan_spec
from graphc.conversion import export_file
from tests.weights.files import safetensors, write_torch


def write(spec: str, source: str, path: Path) -> None:
    """`path` ends in .pth, or in what `graphc weights export` writes for this source."""
    with tempfile.TemporaryDirectory() as folder:
        ours = Path(folder) / "ours.safetensors"
        weights.save(ours, initial_or_loaded(plan_spec(spec), 0, None)[0])
        if path.suffix != ".pth":
            export_file(ours, spec, path, source)
            return
        theirs = Path(folder) / "theirs.safetensors"
        export_file(ours, spec, theirs, source)
        write_torch(path, safetensors.numpy.load_file(theirs))


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
