"""What `graphc new` writes."""

from __future__ import annotations

STARTER = """\
# A small network for 28 x 28 grey images. Try
#   graphc show net.yaml          every layer: shape, receptive field, parameters, cost
#   graphc explain conv2d         the arguments of a layer kind
#   graphc compile net.yaml       an ONNX file
#   graphc show net.yaml --set classes=3

graphc: 1
name: net

vars:
  classes: 10
  width: 16

inputs:
  image: [N, 28, 28, 1]                 # batch, height, width, channels; N is any number of images

# Defaults for the layers below. A layer's own argument wins.
arg_scope:
  conv2d: {kernel: 3, padding: same, normalizer: batch_norm, activation: relu}
  max_pool2d: {kernel: 2, stride: 2}

layers:
  - repeat:                             # conv1/conv1_1 and conv1/conv1_2
      name: conv1
      times: 2
      layer: {conv2d: {filters: "${width}"}}
  - max_pool2d: {name: pool1}           # 14 x 14

  - residual:                           # its layers plus its input
      name: block2
      layers:
        - conv2d: {filters: "${width}"}
        - conv2d: {filters: "${width}", activation: none}
      activation: relu
  - conv2d: {name: conv3, filters: "${2 * width}"}
  - max_pool2d: {name: pool3}           # 7 x 7

  - global_avg_pool2d: {name: pool}
  - dropout: {name: dropout, rate: 0.2}
  - fully_connected: {name: logits, units: "${classes}"}

outputs:
  logits: logits

# Budgets, checked like tests whenever the spec is read.
expect:
  outputs: {logits: ["${classes}"]}
  params: "<= 20_000"
"""
