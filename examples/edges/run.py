"""Edges of a photograph by the two Sobel kernels; shift the photograph, and the edges shift with it.

    python examples/edges/run.py [PHOTO] [--out FOLDER]

Without PHOTO, scikit-learn's photograph of a Chinese temple.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from graphc.compiler import Emission, compile_spec
from graphc.runtime import Session

HERE = Path(__file__).parent
SHIFT = (7, 12)
"""Pixels down and to the right."""


def photograph(path: str | None) -> np.ndarray:
    """A gray photograph, height × width, 0..1."""
    if path is not None:
        return np.asarray(Image.open(path).convert("L"), np.float32) / 255
    from sklearn.datasets import load_sample_image

    return np.asarray(Image.fromarray(load_sample_image("china.jpg")).convert("L"), np.float32) / 255


def main() -> float:
    """Write photograph.png and edges.png; the largest difference between shifted edges and edges of the shifted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="?")
    parser.add_argument("--out", default=str(HERE))
    options = parser.parse_args()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    photo = photograph(options.photo)

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "sobel.onnx"
        compile_spec(HERE / "sobel.yaml", model, how=Emission(output_layout="nchw"))
        session = Session(str(model))
        edges, shifted = (
            session.run({"image": image[None, :, :, None]})["edges"][0] for image in (photo, shift(photo))
        )

    inside = (slice(None), slice(SHIFT[0] + 1, -1), slice(SHIFT[1] + 1, -1))  # away from the rim and the wrapped part
    error = float(np.abs(shift(edges) - shifted)[inside].max())
    print(f"photograph {photo.shape[0]}×{photo.shape[1]}; largest edge {np.abs(edges).max():.3f}")
    print(f"shifted by {SHIFT[0]} down, {SHIFT[1]} right: the edges shift, largest difference {error:.2g}")

    save(out / "photograph.png", photo)
    save(out / "edges.png", np.hypot(*edges))
    return error


def shift(array: np.ndarray) -> np.ndarray:
    return np.roll(array, SHIFT, axis=(-2, -1))


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scaled = (255 * picture / picture.max()).round().astype(np.uint8)
    Image.fromarray(scaled).save(path)


if __name__ == "__main__":
    main()
