"""Decode a folder of CIFAR-10 images (train/CLASS/, test/CLASS/) once, into train.npz and test.npz.

python benchmarks/cifar10_to_npz.py FOLDER [OUTPUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from graphc.data.examples import IMAGE, LABEL, MEMORY_LIMIT
from graphc.data.folder import read_folder
from graphc.data.images import PIXEL_LIMIT


def main() -> None:
    source = Path(sys.argv[1])
    output = Path(sys.argv[2]) if len(sys.argv) > 2 else source
    for part in ("train", "test"):
        examples = read_folder(source / part, (32, 32), 3, MEMORY_LIMIT, PIXEL_LIMIT)
        np.savez(output / f"{part}.npz", x=examples.inputs[IMAGE], y=examples.targets[LABEL])
        print(f"{part}: {len(examples):,} images, classes {', '.join(examples.classes)}")


if __name__ == "__main__":
    main()
