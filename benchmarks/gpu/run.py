"""The training graph and compiled nets on a GPU, beside PyTorch, in one command of under ten minutes.

    python -m benchmarks.gpu.run [--provider cuda] [--tiny] [--only training,kinds] [-o gpu.md]

Parts: `training` (images a second of whole steps, with float32 as such on both sides and with TF32 on both sides, and
PyTorch's bfloat16), `inference` (nets of the zoo, also by CUDA graphs), `kinds` (every layer kind beside NumPy),
`forms` (ways to compute a convolution's weight gradient), `nodes` (the slowest of a step). Each side's batches come
from the host at every step, and each step's loss goes back there. `--tiny` tries the command itself, on a CPU too.

It needs, in an environment of its own, graphc and the wheels onnxruntime-gpu (which brings CUDA 12's libraries as
`onnxruntime-gpu[cuda,cudnn]`), torch and torchvision for CUDA, pytest and onnx. Without torch only graphc is measured.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu import forms, inference, kinds, nodes, training
from graphc.errors import GraphcError
from graphc.runtime import onnxruntime_version, provider_names
from graphc.train.onnxruntime_engine import with_float32


@dataclass(frozen=True, slots=True)
class Asked:
    """What is measured, and how long."""

    provider: str
    tiny: bool

    @property
    def batches(self) -> tuple[int, ...]:
        return (2,) if self.tiny else (64, 256)

    @property
    def seconds(self) -> float:
        """Of one measurement."""
        return 0.05 if self.tiny else 2.0

    @property
    def rounds(self) -> int:
        return 1 if self.tiny else 3

    @property
    def is_cuda(self) -> bool:
        return self.kind == "cuda"

    @property
    def kind(self) -> str:
        """The provider without its options."""
        return self.provider.partition(":")[0]

    @property
    def exact(self) -> str:
        """The provider, with float32 computed as such."""
        return with_float32(self.provider, self.kind)


PARTS: dict[str, Callable[[Asked], Iterator[str]]] = {
    "training": training.report,
    "inference": inference.report,
    "kinds": kinds.report,
    "forms": forms.report,
    "nodes": nodes.report,
}
"""Name -> lines of Markdown."""


def environment(asked: Asked) -> Iterator[str]:
    yield f"- {platform.platform()}, Python {platform.python_version()}, onnxruntime {onnxruntime_version()}"
    yield f"- provider `{asked.provider}`, with {', '.join(provider_names(asked.provider))}"
    try:
        import torch
    except ModuleNotFoundError:
        yield "- PyTorch is not installed: nothing to compare with"
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    yield f"- PyTorch {torch.__version__}, {device}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--provider", default="cuda", help="as of `graphc run`")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try the command")
    parser.add_argument("--only", help=f"parts with commas: {', '.join(PARTS)}")
    parser.add_argument("-o", "--output", type=Path, help="a Markdown file; default: to the terminal")
    given = parser.parse_args(arguments)
    asked = Asked(given.provider, given.tiny)
    names = given.only.split(",") if given.only else list(PARTS)
    if unknown := set(names) - PARTS.keys():
        parser.error(f"--only: expected some of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    try:
        lines = ["# onnxruntime and PyTorch on this machine", "", *environment(asked)]
        for name in names:
            begun = time.perf_counter()
            lines += ["", f"## {name}", "", *PARTS[name](asked)]
            lines += ["", f"({time.perf_counter() - begun:.0f} s)"]
            print(f"{name}: done", file=sys.stderr)
    except GraphcError as error:
        print(error, file=sys.stderr)
        return 3
    text = "\n".join(lines) + "\n"
    if given.output is None:
        print(text)
    else:
        given.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
