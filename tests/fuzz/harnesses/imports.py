"""Other people's networks, which `graphc import` makes specs of: ONNX files, darknet's cfg and .weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.importers.darknet import ACTIVATIONS, SECTIONS
from graphc.importers.darknet_import import import_darknet
from graphc.importers.onnx_import import Request, import_onnx
from graphc.importers.operators import HANDLERS
from tests.fuzz.harness import Harness
from tests.importers.models import number, whole, write_model

CONV = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
CFG = (
    "[net]\nwidth=8\nheight=8\nchannels=3\n" + CONV + "[maxpool]\nsize=2\nstride=2\n" + CONV
    + "[shortcut]\nfrom=-2\nactivation=linear\n[upsample]\nstride=2\n[route]\nlayers=-1,0\n[yolo]\nmask=0\nclasses=3\n"
)  # fmt: skip


class ImportOnnx(Harness):
    name = "import_onnx"
    suffix = ".onnx"

    def seeds(self) -> Sequence[bytes]:
        chains = (
            ("a = Conv<pads=[1,1,1,1]>(x, w) b = BatchNormalization(a, v, v, v, v) c = Relu(b) y = Add(c, x)",
             {"w": [4, 4, 3, 3], "v": [4]}),
            ("s = Shape(x) n = Gather(s, i) u = Unsqueeze(n, z) t = Concat<axis=0>(u, e) r = Reshape(x, t)"
             " y = MatMul(r, w)",
             {"i": whole(0)[0], "z": whole(0), "e": whole(-1), "w": [192, 3]}),
            ("a = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) b = Sigmoid(a) c = Mul(a, b) p = GlobalAveragePool(c)"
             " y = Concat<axis=1>(p, p)", {}),
            ("q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) y = Relu(d)",
             {"s": number(0.1), "z": np.asarray(3, np.uint8)}),
        )  # fmt: skip
        return [write_model(self.folder, body, **arrays).read_bytes() for body, arrays in chains]

    def words(self) -> Sequence[bytes]:
        return [op.encode() for op in HANDLERS]

    def read(self) -> None:
        import_onnx(self.path, Request(check=False, dequantize=True, graph=True))


class DarknetCfg(Harness):
    name = "darknet_cfg"
    suffix = ".cfg"
    is_text = True

    def seeds(self) -> Sequence[bytes]:
        dense = (
            "[net]\nwidth=4\nheight=4\nchannels=3\n[avgpool]\n[connected]\noutput=3\nactivation=relu\n"
            "[dropout]\nprobability=.5\n[softmax]\n"
        )
        return [CFG.encode(), dense.encode()]

    def words(self) -> Sequence[bytes]:
        options = ("groups", "group_id", "dilation", "padding", "probability", "from", "layers", "stride", "size")
        return [*(f"[{kind}]".encode() for kind in SECTIONS), *(w.encode() for w in (*ACTIVATIONS, *options))]

    def read(self) -> None:
        import_darknet(self.path)


class DarknetWeights(Harness):
    name = "darknet_weights"
    suffix = ".weights"

    def prepare(self) -> None:
        (self.folder / "net.cfg").write_text(CFG)

    def seeds(self) -> Sequence[bytes]:
        count = 2 * 4 * 4 + 4 * 3 * 9 + 4 * 4 * 9
        header = np.asarray([0, 2, 0, 0, 0], "<i4").tobytes()
        return [header + np.linspace(0.1, 1, count, dtype="<f4").tobytes()]

    def read(self) -> None:
        import_darknet(self.folder / "net.cfg", self.path, flat=True)
