"""Decode a folder of CIFAR-10 images (train/CLASS/, test/CLASS/) once, into train.npz and test.npz.

python benchmarks/cifar10_to_npz.py FOLDER [OUTPUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    source = Path(sys.argv[1])
    output = Path(sys.argv[2]) if len(sys.argv) > 2 else source
    for part in ("train", "test"):
        classes = sorted(folder.name for folder in (source / part).iterdir())
        files = [sorted((source / part / name).iterdir()) for name in classes]
        x = np.stack([np.asarray(Image.open(path).convert("RGB")) for paths in files for path in paths])
        y = np.repeat(np.arange(len(classes)), [len(paths) for paths in files])
        np.savez(output / f"{part}.npz", x=x, y=y)
        print(f"{part}: {len(y):,} images, classes {', '.join(classes)}")


if __name__ == "__main__":
    main()
