"""The spec that `graphc new` writes."""

from __future__ import annotations

TEMPLATE = """\
# A small network for {what}. Try
#   graphc show net.yaml          every layer: shape, receptive field, parameters, cost
#   graphc explain conv2d         the arguments of a layer kind
#   graphc compile net.yaml       an ONNX file
#   graphc show net.yaml --set classes=3
#   graphc new --recipe           a recipe to train it with

graphc: 1
name: net

vars:
  classes: {classes}
  size: {size}                              # height and width of the images
  channels: {channels}                           # 1: gray, 3: colors
  width: 16

inputs:
  image: [N, "${{size}}", "${{size}}", "${{channels}}"]   # N is any number of images

# Defaults for the layers below. A layer's own argument wins.
arg_scope:
  conv2d: {{kernel: 3, padding: same, normalizer: batch_norm, activation: relu}}
  max_pool2d: {{kernel: 2, stride: 2}}

layers:
  - repeat:                             # conv1/conv1_1 and conv1/conv1_2
      name: conv1
      times: 2
      layer: {{conv2d: {{filters: "${{width}}"}}}}
  - max_pool2d: {{name: pool1}}           # half the size

  - residual:                           # its layers plus its input
      name: block2
      layers:
        - conv2d: {{filters: "${{width}}"}}
        - conv2d: {{filters: "${{width}}", activation: none}}
      activation: relu
  - conv2d: {{name: conv3, filters: "${{2 * width}}"}}
  - max_pool2d: {{name: pool3}}           # a quarter
  - conv2d: {{name: conv4, filters: "${{4 * width}}"}}

  - global_avg_pool2d: {{name: pool}}
  - dropout: {{name: dropout, rate: 0.2}}
  - fully_connected: {{name: logits, units: "${{classes}}"}}

outputs:
  logits: logits

# Budgets, checked like tests whenever the spec is read.
expect:
  outputs: {{logits: ["${{classes}}"]}}
  params: "<= {params:_}"
"""


def starter(classes: int = 10, size: int = 28, channels: int = 1) -> str:
    """The spec for images of `size` × `size` × `channels`."""
    what = f"{size} x {size} {'gray' if channels == 1 else 'color'} images of {classes} classes"
    params = 40_000 + 65 * max(classes - 10, 0)  # a class more is a column more of the last weights
    return TEMPLATE.format(what=what, classes=classes, size=size, channels=channels, params=params)


STARTER = starter()
