"""Commands on files of weights that somebody else wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphc.cli.options import (
    collect_seldom,
    ema_option,
    format_option,
    limit_options,
    limits,
    load_options,
    loading,
    out,
    say,
    set_option,
)
from graphc.errors import counted
from graphc.files import keep_inputs, shown

for_option = click.option("--for", "spec", required=True, metavar="SPEC", help="The network that they are for.")


@click.group()
def weights() -> None:
    """Look at checkpoints of TensorFlow, PyTorch and Keras, convert and check them.

    \b
      graphc weights show model.pth
      graphc weights convert model.ckpt --for vgg_16 -o vgg_16.safetensors
    """


@weights.command(name="show")
@click.argument("file")
@ema_option
@format_option
def weights_show(file: str, ema: bool, form: str) -> None:
    """Every array of a file by name, and what wrote it.

    FILE is a .ckpt, an .index or its prefix, .pth, .pt, .h5, .keras, .safetensors, .npz or .onnx file, or
    the .json index of several.

    \b
      graphc weights show model.pth
      graphc weights show model.ckpt-250000 --format csv
    """
    from graphc.conversion import COLUMNS, described
    from graphc.report.tables import render

    words, rows = described(file, ema=ema)
    say(words)
    out(render(COLUMNS, rows, form))


@weights.command(name="convert")
@click.argument("file")
@for_option
@click.option("-o", "--output", metavar="FILE", help="A .safetensors file.  [default: SPEC.safetensors]")
@set_option
@limit_options
@load_options
@click.option("--layout", type=click.Choice(["HWIO", "OIHW"]), help="How arrays lie, where the file does not say.")
@click.option("--partial", is_flag=True, help="Also where some variables are missing.")
def weights_convert(file: str, spec: str, output: str | None, **options: Any) -> None:
    """Write a file's variables with the names and the layout of a spec.

    Names are the spec's own, or those that it says of a library (`pretrained:`), or a map's, which has a line for each
    module, with numbers as parts: "layer{s}.{i}.conv{c}": "stage{s}/unit_{i+1}/conv{c}".

    \b
      graphc weights convert resnet50-0676ba61.pth --for resnet50
      graphc weights convert model.safetensors --for resnet50 --from timm:resnet50
      graphc weights convert model.pth --for net.yaml --map names.yaml -o net.safetensors
    """
    collect_seldom()
    from graphc.conversion import convert_file

    target = output or f"{Path(spec).stem}.safetensors"
    keep_inputs((target,), (file, spec, options["map_file"]))
    report = convert_file(
        file,
        spec,
        target,
        options["settings"],
        load=loading(options, file, options["layout"]),
        partial=options["partial"],
        limits=limits(options["max_layers"], options["max_memory"]),
    )
    say(report.describe())
    say(f"wrote {shown(target)}")


@weights.command(name="map")
@click.argument("file")
@for_option
@click.option("-o", "--output", metavar="FILE", help="Of rules, for --map.  [default: they are printed]")
@set_option
@limit_options
@click.option("--map", "map_file", metavar="FILE", help="What is known: their names of modules, and ours.")
@ema_option
def weights_map(file: str, spec: str, output: str | None, **options: Any) -> None:
    """Find rules from a file's names to a spec's, by order and shape.

    Where branches lie side by side every order of them is tried: where one fits, rules are written, to be read and
    kept; where several do, that is said, and a line of --map says which. Files whose names are sorted (.safetensors)
    do not keep the order of layers.

    \b
      graphc weights map model.pth --for net.yaml -o names.yaml
      graphc compile net.yaml --weights model.pth --map names.yaml
    """
    collect_seldom()
    from graphc.conversion import found_map
    from graphc.files import atomic_write

    keep_inputs((output,), (file, spec, options["map_file"]))
    bounds = limits(options["max_layers"], options["max_memory"])
    text, count = found_map(file, spec, options["settings"], load=loading(options, file), limits=bounds)
    if output is None:
        out(text)
    else:
        atomic_write(output, text.encode())
        say(f"wrote {shown(output)}")
    say(f"{counted(count, 'variable')} by order and shape: read the rules, and check them")


@weights.command(name="check")
@click.argument("file")
@for_option
@click.option(
    "--images", "photos", multiple=True, required=True, metavar="PATH", help="Photographs, or folders of them."
)
@set_option
@limit_options
@load_options
@click.option(
    "--read-as",
    "reading",
    type=click.Choice(["imagenet", "symmetric", "unit", "clip", "bytes", "mean", "mean_bgr"]),
    help="How images become numbers.  [default: as for these weights, where that is known, else as they fit best]",
)
@click.option("--count", type=click.IntRange(1, 1000), default=16, show_default=True, help="Images, at most.")
@click.option("-o", "--output", metavar="SVG", help="Also a picture.")
@format_option
def weights_check(file: str, spec: str, photos: tuple[str, ...], form: str, output: str | None, **options: Any) -> None:
    """Compare batch norm's stored statistics with those of photographs, layer by layer.

    Where they differ the images are read in another range than in training, layers are exchanged, or the network pads
    on another side. Networks without batch norm cannot be checked so, and a few faults move nothing: blue and red
    exchanged, kernels transposed.

    \b
      graphc weights check w.safetensors --for resnet50 --images photos
      graphc weights check w.safetensors --for resnet50 --images photos --read-as unit -o shifts.svg
    """
    collect_seldom()
    from graphc.report.norm_statistics import check

    keep_inputs((output,), (file, spec, options["map_file"], *photos))
    table, said = check(
        file,
        spec,
        photos,
        options["settings"],
        load=loading(options, file),
        reading=options["reading"],
        count=options["count"],
        form=form,
        picture=output,
        limits=limits(options["max_layers"], options["max_memory"]),
    )
    out(table)
    for line in said:
        say(line)


@weights.command(name="export")
@click.argument("file")
@for_option
@click.option("--to", required=True, metavar="SOURCE", help="Whose names: torchvision, timm, keras, tf_slim.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="A .safetensors file; for keras also .h5, for tf_slim .ckpt.index.  [default: SPEC_SOURCE and that ending]",
)
@set_option
@limit_options
def weights_export(file: str, spec: str, to: str, output: str | None, **options: Any) -> None:
    """Write a network's variables with the names and the layout of a library, which then loads them.

    \b
      graphc weights export runs/flowers/best.safetensors --for resnet50 --to torchvision --set classes=5
      graphc weights export best.safetensors --for mobilenet_v1 --to keras -o net.h5      # load_weights(by_name=True)
      graphc weights export best.safetensors --for resnet_v1_50 --to tf_slim -o net.ckpt.index
    """
    from graphc.conversion import export_file, export_name

    target = output or export_name(spec, to)
    keep_inputs((target,), (file, spec))
    bounds = limits(options["max_layers"], options["max_memory"])
    net = export_file(file, spec, target, to, options["settings"], limits=bounds)
    say(f"wrote {shown(target)}: weights of {net.title}")
