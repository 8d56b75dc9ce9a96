"""The command that makes specs of other people's networks."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import click

from graphc.cli.options import collect_seldom, say


@click.command(name="import")
@click.argument("model")
@click.argument("numbers", required=False, metavar="[FILE.weights]")
@click.option("-o", "--output", metavar="FILE", help="The spec.  [default: NAME.yaml]")
@click.option("--weights", metavar="FILE", help="Also write all variables by name, .npz or .safetensors.")
@click.option("--until", "until", multiple=True, metavar="NODE", help="End at this node or value; may be repeated.")
@click.option(
    "--input", "sizes", multiple=True, metavar="[NAME=]SIZE", help="224x224: of an input that the file leaves open."
)
@click.option("--flat", is_flag=True, help="One line a layer, without blocks, repeats and branches.")
@click.option("--name", metavar="NAME", help="The model's name.  [default: the file's]")
@click.option("--dequantize", is_flag=True, help="Leave the rounding of a quantized file out.")
@click.option("--graph", is_flag=True, help="Import the graph even of a file that holds the spec it was made from.")
@click.option("--check/--no-check", default=True, show_default=True, help="Compare with the file in onnxruntime.")
def import_command(
    model: str,
    numbers: str | None,
    output: str | None,
    weights: str | None,
    until: tuple[str, ...],
    sizes: tuple[str, ...],
    flat: bool,
    name: str | None,
    dequantize: bool,
    graph: bool,
    check: bool,
) -> None:
    """Make a spec of an ONNX file, or of darknet's cfg and .weights, and its weights by the spec's names.

    \b
      graphc import model.onnx -o net.yaml --weights net.safetensors
      graphc import detector.onnx --until /backbone/Relu_9_output_0
      graphc import model.onnx --input 320x320 --flat
      graphc import yolov3-tiny.cfg yolov3-tiny.weights --weights net.safetensors
    """
    collect_seldom()
    from graphc.files import atomic_write, keep_inputs
    from graphc.importers.imported import Imported
    from graphc.weights import save

    target = output or f"{Path(model).stem}.yaml"
    keep_inputs((target, weights), (model, numbers))
    found: Imported
    if Path(model).suffix.lower() == ".cfg":
        from graphc.importers.darknet_import import import_darknet

        if until or sizes or graph or dequantize:
            raise click.UsageError("--until, --input, --dequantize and --graph are for ONNX files")
        if weights is not None and numbers is None:
            raise click.UsageError(
                "--weights needs the .weights file beside the cfg: graphc import NET.cfg NET.weights"
            )
        found = import_darknet(model, numbers, flat=flat, name=name, check=check)
    else:
        from graphc.importers.onnx_import import Request, import_onnx, read_sizes

        if numbers is not None:
            raise click.UsageError("a file of weights goes with a cfg; an ONNX file has its own")
        found = import_onnx(model, Request(flat, until, read_sizes(sizes), check, name, dequantize, graph))

    def write(file: BinaryIO) -> None:
        """The spec, which is in its place when the weights are in theirs: both are written, or none."""
        file.write(found.text.encode())
        if weights is not None:
            save(weights, found.variables)

    atomic_write(target, write)
    for line in found.said:
        say(line)
    also = f" and {weights}" if weights is not None else ""
    say(f"wrote {target}{also}: {len(found.text.splitlines())} lines, {len(found.variables):,} variables")
