"""Images a second of decode and augment: graphc beside PyTorch's DataLoader, the same transforms, in one run.

    python benchmarks/data_pipeline.py DATA --torch-python PYTHON [--workers 0 2] [--rounds 5]

DATA is a folder of class folders of JPEGs. Each JPEG is decoded, padded by 4 and cropped, flipped, changed in
brightness, contrast, saturation and hue, normalized, and put into batches of 128 in float32. torchvision is not
needed: the transforms of the PyTorch side are written here with Pillow, as torchvision's are.
Both sides run by turns, each in a process of its own. On a machine that others use too, images a second of processor
time say more than those of the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", choices=["graphc", "torch"])
    options = parser.parse_args()
    if options.side:
        measure = by_graphc if options.side == "graphc" else by_torch
        print(json.dumps(measure(options.data, options.images, options.workers[0])))
        return
    for workers in options.workers:
        found: dict[str, list[dict[str, float]]] = {"graphc": [], "torch": []}
        for _ in range(options.rounds):
            for side, python in (("graphc", sys.executable), ("torch", options.torch_python)):
                arguments = [str(options.data), "--images", str(options.images), "--workers", str(workers)]
                command = [python, __file__, *arguments, "--side", side]
                answer = subprocess.run(command, capture_output=True, text=True, check=True)
                found[side].append(json.loads(answer.stdout))
        for measure in ("images_per_second", "images_per_processor_second"):
            rates = {side: [each[measure] for each in rows] for side, rows in found.items()}
            ratios = [ours / theirs for ours, theirs in zip(rates["graphc"], rates["torch"], strict=True)]
            middle = ", ".join(f"{side} {statistics.median(each):.0f}" for side, each in rates.items())
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"{workers} workers, {measure}: {middle}, ratio {spread}", flush=True)


def by_graphc(data: Path, count: int, workers: int) -> dict[str, float]:
    import numpy as np

    from graphc.data.augment.color import Brightness, Contrast, Hue, Saturation
    from graphc.data.augment.geometry import FlipHorizontal, PadCrop
    from graphc.data.batches import Augmenting, Batches
    from graphc.data.examples import epoch_order
    from graphc.data.preprocess import Preprocess
    from graphc.data.sources import ImageFolder

    examples = ImageFolder(path=".", size=(32, 32), keep="files").load(data, 2**33)
    examples = examples.take(epoch_order(0, 0, len(examples))[:count])
    steps = (PadCrop(), FlipHorizontal(), Brightness(amount=0.2), Contrast(amount=0.2), Saturation(amount=0.2), Hue())
    preprocess = {"image": Preprocess(mean=MEAN, std=STD)}
    batches = Batches(
        examples, BATCH, {"image": (32, 32, 3)}, np.float32, preprocess, Augmenting(0, steps), workers=workers
    )
    used = processor_seconds()
    for epoch in range(2):  # the first warms up
        started, seen = time.perf_counter(), 0
        with batches.ahead(batches.batch_rows(epoch_order(0, epoch, count)), epoch) as made:
            for batch in made:
                seen += len(batch)
        seconds = time.perf_counter() - started
    batches.close()
    processor = processor_seconds() - used
    return {"images_per_second": seen / seconds, "images_per_processor_second": 2 * seen / processor}


def by_torch(data: Path, count: int, workers: int) -> dict[str, float]:
    import random

    import numpy as np
    import torch
    from PIL import Image, ImageEnhance, ImageOps

    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]

    class Folder(torch.utils.data.Dataset):
        def __init__(self) -> None:
            classes = sorted(path for path in data.iterdir() if path.is_dir())
            found = [(path, label) for label, each in enumerate(classes) for path in sorted(each.iterdir())]
            self.found = random.Random(0).sample(found, count)

        def __len__(self) -> int:
            return len(self.found)

        def __getitem__(self, row: int):
            path, label = self.found[row]
            with Image.open(path) as opened:
                image = opened.convert("RGB")
            image = ImageOps.expand(image, 4)
            top, left = random.randint(0, 8), random.randint(0, 8)
            image = image.crop((left, top, left + 32, top + 32))
            if random.random() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
                image = change(image).enhance(random.uniform(0.8, 1.2))
            hue, saturation, value = image.convert("HSV").split()
            shift = np.uint8(random.randint(-13, 13) % 256)
            hue = Image.fromarray(np.asarray(hue) + shift)
            image = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
            pixels = torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy()).float() / 255
            return (pixels - mean) / std, label

    persistent = workers > 0
    loader = torch.utils.data.DataLoader(
        Folder(), BATCH, shuffle=True, num_workers=workers, persistent_workers=persistent
    )
    torch.set_num_threads(1)
    used = processor_seconds()
    for _ in range(2):
        started, seen = time.perf_counter(), 0
        for images, _ in loader:
            seen += len(images)
        seconds = time.perf_counter() - started
    del loader, images  # its workers end, and their seconds are known
    processor = processor_seconds() - used
    return {"images_per_second": seen / seconds, "images_per_processor_second": 2 * seen / processor}


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
