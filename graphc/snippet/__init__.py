"""A small program that calls an ONNX file: its names, shapes, layout, preprocessing and classes in somebody's language.

A language is a line in `LANGUAGES` (`write.py`) and its texts in `templates/`, of which a program takes those that
the file needs. Python's are run by the suite and Node's by `.ci/snippets`, beside `graphc run`; a language that could
not be tried is not here.
"""
