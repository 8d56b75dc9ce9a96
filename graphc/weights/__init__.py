"""Files of weights, whoever wrote them, behind one door.

`formats.FORMATS` is the table of the kinds of files; each has its own module with a class of `WeightsFile`, which
bounds and checks what is in the file before it is read, and unpickles nothing. `selection` leaves out what is no
variable of a network, `layouts` knows how libraries lay arrays out, `convert` gives a plan its variables by names that
are the same or by `name_rules`. To add a format: a class of `WeightsFile`, its line in `FORMATS`, and a writer of small
files in `tests/weights/files.py`, by which every reader is held to the same promises. Arrays of every floating-point
dtype are read, and given as float32.
"""

from graphc.weights.convert import LoadReport, beside_of, convert, read_as
from graphc.weights.file import Entry, Layout, WeightsFile
from graphc.weights.formats import FORMATS, open_weights
from graphc.weights.layouts import Wanted, wanted
from graphc.weights.load import check_values, load, load_variables, save
from graphc.weights.names import Sources, sources
from graphc.weights.options import LoadOptions
from graphc.weights.origin import Origin, origin_of
from graphc.weights.selection import Selection

__all__ = [
    "FORMATS",
    "Entry",
    "Layout",
    "LoadOptions",
    "LoadReport",
    "Origin",
    "Selection",
    "Sources",
    "Wanted",
    "WeightsFile",
    "beside_of",
    "check_values",
    "convert",
    "load",
    "load_variables",
    "open_weights",
    "origin_of",
    "read_as",
    "save",
    "sources",
    "wanted",
]
