"""Small pictures, one folder a class, for pages that need photos: `python -m tests.pages.photos FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("circles", "crosses", "squares")


def write_photos(folder: Path, count: int = 30) -> None:
    """`count` pictures of each class, of sizes from 48 to 96 pixels, the same ones each time."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            height, width = rng.integers(48, 97, 2)
            noise = rng.integers(60, 120, (height, width, 3)).astype(np.uint8)
            picture = Image.fromarray(noise)
            side = int(min(height, width) * rng.uniform(0.4, 0.8))
            left, top = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
            draw, box = ImageDraw.Draw(picture), (left, top, left + side, top + side)
            color = tuple(int(value) for value in rng.integers(150, 256, 3))
            if name == "circles":
                draw.ellipse(box, outline=color, width=4)
            elif name == "squares":
                draw.rectangle(box, outline=color, width=4)
            else:
                draw.line(box, fill=color, width=4)
                draw.line((box[0], box[3], box[2], box[1]), fill=color, width=4)
            picture.save(folder / name / f"{number:03}.png")


if __name__ == "__main__":
    write_photos(Path(sys.argv[1]))
