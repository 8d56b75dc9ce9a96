"""Other people's networks as specs: ONNX files and darknet's cfg.

    model.onnx ─freeze→ OnnxGraph ─rewrite→ OnnxGraph ─translate→ FlatNet ─structure→ Items ─write→ net.yaml, weights

`freeze` fixes sizes and computes what is constant, `rewrite` finds operators that exporters wrote as several,
`translate` makes a layer of each node, channels last, `structure` finds residuals, blocks and repeats.
"""
