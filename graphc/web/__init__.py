"""A page on which anybody tries an ONNX file: in the browser, without a network.

    file ─describe→ what it takes and gives ─known_answer→ what it must give ─build→ a folder, or one HTML file

The page's own scripts stand in `static/`, one part each; the runtime is onnxruntime-web, which npm has.
"""
