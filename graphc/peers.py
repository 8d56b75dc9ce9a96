"""What Keras, PyTorch, TF-Slim, ONNX and darknet call what graphc calls otherwise: hints, never synonyms.

A word is looked up in small letters without `_`, `-` and spaces. The first of its words that the place knows is
proposed. A word with none is one that graphc has nothing for, however near another word is spelt: a hint that
changes the model is worse than none.
"""

from __future__ import annotations

from collections.abc import Iterable


def simple(word: str) -> str:
    """`BatchNorm_2d` as `batchnorm2d`."""
    return "".join(letter for letter in word.lower() if letter not in "_- ")


KINDS = {
    "conv": "conv2d", "convolution": "conv2d", "convolution2d": "conv2d", "convolutional": "conv2d",
    "depthwise": "depthwise_conv2d", "depthwiseconv": "depthwise_conv2d", "dwconv": "depthwise_conv2d",
    "depthwiseconvolution2d": "depthwise_conv2d", "separableconv": "separable_conv2d",
    "separableconvolution2d": "separable_conv2d",
    "deconv": "conv2d_transpose", "deconv2d": "conv2d_transpose", "deconvolution": "conv2d_transpose",
    "convtranspose": "conv2d_transpose", "convtranspose2d": "conv2d_transpose", "transposedconv2d": "conv2d_transpose",
    "transposeconv2d": "conv2d_transpose", "deconvolutional": "conv2d_transpose",
    "dense": "fully_connected", "linear": "fully_connected", "fc": "fully_connected", "gemm": "fully_connected",
    "connected": "fully_connected", "innerproduct": "fully_connected", "fullyconnectedlayer": "fully_connected",
    "bias": "bias_add",
    "maxpool": "max_pool2d", "maxpooling": "max_pool2d", "maxpooling2d": "max_pool2d",
    "avgpool": "avg_pool2d", "averagepool": "avg_pool2d", "averagepooling2d": "avg_pool2d",
    "averagepool2d": "avg_pool2d", "avgpooling2d": "avg_pool2d", "meanpool2d": "avg_pool2d",
    "globalavgpool": "global_avg_pool2d", "globalaveragepool": "global_avg_pool2d",
    "globalaveragepooling2d": "global_avg_pool2d", "adaptiveavgpool2d": "global_avg_pool2d", "gap": "global_avg_pool2d",
    "globalaveragepool2d": "global_avg_pool2d", "globalavgpooling2d": "global_avg_pool2d",
    "globalmaxpool": "global_max_pool2d", "globalmaxpooling2d": "global_max_pool2d",
    "adaptivemaxpool2d": "global_max_pool2d",
    "swish": "silu", "hardswish": "hard_swish", "hswish": "hard_swish", "hsigmoid": "hard_sigmoid",
    "leaky": "leaky_relu", "lrelu": "leaky_relu", "logistic": "sigmoid", "softmax2d": "softmax",
    "batchnormalization": "batch_norm", "batchnorm2d": "batch_norm", "bn": "batch_norm", "batchnorm1d": "batch_norm",
    "layernormalization": "layer_norm", "ln": "layer_norm", "groupnormalization": "group_norm", "gn": "group_norm",
    "instancenormalization": "instance_norm", "instancenorm2d": "instance_norm",
    "lrn": "local_response_norm", "localresponsenormalization": "local_response_norm",
    "unitnormalization": "unit_norm", "l2normalize": "unit_norm", "lpnormalization": "unit_norm",
    "dropout2d": "", "spatialdropout2d": "", "alphadropout": "", "droppath": "", "stochasticdepth": "",
    "zeropadding2d": "pad", "zeropad2d": "pad", "constantpad2d": "pad", "reflectionpad2d": "pad", "padding": "pad",
    "cropping2d": "crop", "centercrop": "crop",
    "upsample": "resize", "upsampling": "resize", "upsampling2d": "resize", "interpolate": "resize",
    "resizing": "resize", "resizebilinear": "resize", "upsamplenearest2d": "resize", "upsamplingbilinear2d": "resize",
    "pixelshuffle": "depth_to_space", "subpixel": "depth_to_space", "pixelunshuffle": "space_to_depth",
    "reorg": "space_to_depth", "shuffle": "channel_shuffle",
    "concatenate": "concat", "cat": "concat", "route": "concat", "merge": "", "eltwise": "add", "sum": "add",
    "elementwiseadd": "add", "addn": "add", "mul": "multiply", "prod": "multiply", "layerscale2d": "layer_scale",
    "view": "reshape", "squeeze": "flatten", "sequential": "group", "block": "group", "parallel": "branches",
    "split": "slice", "chunk": "slice", "narrow": "slice", "skip": "residual", "shortcut": "residual",
}  # fmt: skip
"""Layer kinds, activations and compositions; the empty word: graphc has no such kind."""

ABSENT = frozenset(
    {
        "conv1d", "conv3d", "maxpool1d", "maxpool3d", "avgpool1d", "avgpool3d", "maxpooling1d", "maxpooling3d",
        "globalavgpool1d", "globalavgpool3d", "convtranspose1d", "convtranspose3d", "relu1", "relun", "crelu", "celu",
        "glu", "rrelu", "hardtanh", "logsoftmax", "softmin", "softsign", "softshrink", "hardshrink", "tanhshrink",
        "threshold", "logsigmoid", "swiglu", "geglu", "rmsnorm", "weightnorm", "spectralnorm", "lppool2d",
        "fractionalmaxpool2d", "maxunpool2d", "lstm", "gru", "rnn", "embedding", "attention", "multiheadattention",
        "transpose", "permute", "subtract", "sub", "divide", "div", "mean", "max", "min", "maximum", "minimum", "pow",
        "sqrt", "exp", "abs", "matmul", "einsum", "gather", "msle", "mape", "wasserstein", "lbfgs", "adadelta",
        "rprop", "nadam", "radam", "adamax", "ftrl",
    }
)  # fmt: skip
"""Words of peers that are near to words of graphc and mean something else."""

ARGUMENTS = {
    "std": "stddev", "sigma": "stddev",
    "units": "filters", "outchannels": "filters units", "numfilters": "filters", "numoutputs": "filters units",
    "outfeatures": "units", "channels": "filters", "filters": "units filters", "nout": "filters units",
    "outputdim": "units", "depth": "filters", "numunits": "units", "features": "units filters", "size": "kernel scale",
    "kernelsize": "kernel", "ksize": "kernel", "poolsize": "kernel", "kernelshape": "kernel", "filtersize": "kernel",
    "windowsize": "kernel", "strides": "stride", "pad": "padding", "pads": "padding", "paddings": "padding",
    "dilationrate": "dilation", "dilations": "dilation", "rate": "dilation", "group": "groups", "numgroups": "groups",
    "blocksize": "block", "upscalefactor": "block", "downscalefactor": "block",
    "usebias": "bias", "hasbias": "bias", "activationfn": "activation", "act": "activation", "nonlin": "activation",
    "norm": "normalizer", "normlayer": "normalizer", "normalizerfn": "normalizer", "batchnormalize": "normalizer",
    "kernelinitializer": "weights_initializer", "biasinitializer": "biases_initializer",
    "weightinitializer": "weights_initializer", "kernelregularizer": "weights_regularizer",
    "biasregularizer": "biases_regularizer", "weightdecay": "weights_regularizer weight_decay",
    "weightregularizer": "weights_regularizer",
    "p": "rate", "dropoutrate": "rate", "prob": "rate", "ratio": "rate", "dropprob": "rate", "dropout": "rate",
    "eps": "epsilon", "negativeslope": "alpha", "slope": "alpha", "keepdim": "keep_dims", "keepdims": "keep_dims",
    "scalefactor": "scale", "outputsize": "size", "interpolation": "method", "mode": "method",
    "targetshape": "shape", "newshape": "shape", "inputnames": "inputs", "inboundnodes": "inputs", "from": "inputs",
    "bottom": "inputs", "input": "inputs", "reuse": "share", "sharedwith": "share", "if": "when", "condition": "when",
    "n": "times", "count": "times", "num": "times", "body": "layers", "modules": "layers",
    "lr": "learning_rate", "batchsize": "batch", "momentumrate": "momentum", "wd": "weight_decay",
}  # fmt: skip
"""Arguments and keys; of several words the first that the place knows."""

VOCABULARY = {
    "kaiming": "he", "kaimingnormal": "he", "kaiminguniform": "he", "henormal": "he", "heuniform": "he", "msra": "he",
    "glorotuniform": "glorot xavier", "glorotnormal": "glorot", "xavieruniform": "xavier", "xaviernormal": "xavier",
    "gaussian": "normal", "randomnormal": "normal", "randomuniform": "uniform", "zero": "zeros", "one": "ones",
    "dirac": "identity", "truncnormal": "truncated_normal", "l2regularizer": "l2", "l1regularizer": "l1",
    "causal": "", "full": "", "zeros": "constant zeros", "linear": "bilinear fully_connected polynomial",
    "crossentropy": "softmax_cross_entropy", "categoricalcrossentropy": "softmax_cross_entropy",
    "sparsecategoricalcrossentropy": "softmax_cross_entropy", "crossentropyloss": "softmax_cross_entropy",
    "nllloss": "", "bce": "sigmoid_cross_entropy", "binarycrossentropy": "sigmoid_cross_entropy",
    "bcewithlogitsloss": "sigmoid_cross_entropy", "bceloss": "sigmoid_cross_entropy",
    "mse": "mean_squared mse", "mseloss": "mean_squared", "meansquarederror": "mean_squared mse", "l2": "mean_squared",
    "mae": "absolute mae", "l1loss": "absolute", "meanabsoluteerror": "absolute mae", "l1": "absolute",
    "smoothl1": "huber", "smoothl1loss": "huber", "huberloss": "huber", "cosinesimilarity": "cosine",
    "focal": "softmax_focal", "focalloss": "softmax_focal", "diceloss": "dice",
    "multisteplr": "piecewise", "multistep": "piecewise", "steplr": "step", "exponentiallr": "exponential",
    "exponentialdecay": "exponential", "poly": "polynomial", "cosineannealing": "cosine",
    "cosineannealinglr": "cosine", "cosinedecay": "cosine", "onecyclelr": "one_cycle", "fixed": "constant",
    "reducelronplateau": "reduce_on_plateau", "plateau": "reduce_on_plateau",
    "acc": "accuracy", "categoricalaccuracy": "accuracy", "top5": "top_k", "topkaccuracy": "top_k", "f1score": "f1",
    "fscore": "f1", "iou": "mean_iou", "meaniou": "mean_iou", "miou": "mean_iou", "jaccard": "mean_iou",
    "rocauc": "auc", "auroc": "auc", "ap": "average_precision", "map": "", "r2score": "r2",
    "rootmeansquarederror": "rmse",
    "horizontalflip": "flip_horizontal", "randomhorizontalflip": "flip_horizontal", "hflip": "flip_horizontal",
    "fliplr": "flip_horizontal", "verticalflip": "flip_vertical", "randomverticalflip": "flip_vertical",
    "vflip": "flip_vertical", "flipud": "flip_vertical", "randomrotation": "rotate", "rotation": "rotate",
    "colorjitter": "brightness", "translate": "shift",
    "randomtranslation": "shift", "zoom": "scale", "randomzoom": "scale", "gaussianblur": "blur",
    "gaussiannoise": "noise", "randomerasing": "cutout", "coarsedropout": "cutout", "imagefolder": "image_folder",
    "csv": "list", "json": "list", "mnist": "idx", "zip": "archive", "tar": "archive",
    "minmaxscaler": "min_max_scale", "minmax": "min_max_scale",
    "centercrop": "center_crop", "normalize": "standardize", "rescaling": "rescale", "grayscale": "channels",
}  # fmt: skip
"""Initializers, losses, optimizers, schedules, metrics, sources, augmentations, preprocessing, words of options."""

RENAMED = {
    "normalise": "min_max_scale", "standardise": "standardize", "centre": "center", "crop": "center_crop",
    "grey": "gray", "labelled": "labeled", "unlabelled": "unlabeled", "parts": "shards",
}  # fmt: skip
"""What graphc itself called otherwise once."""

LIMITS = {
    ("conv2d_transpose", "dilation"): "a transposed convolution with dilation is not supported",
    ("conv2d_transpose", "groups"): "a transposed convolution in groups is not supported",
    ("max_pool2d", "dilation"): "pooling with dilation is not supported",
    ("avg_pool2d", "dilation"): "pooling with dilation is not supported",
    ("max_pool2d", "ceil_mode"): "a size that is rounded up is said by padding, such as [[0, 1], [0, 1]] or same",
    ("avg_pool2d", "ceil_mode"): "a size that is rounded up is said by padding, such as [[0, 1], [0, 1]] or same",
    ("avg_pool2d", "count_include_pad"): "padding is never counted; a pad layer before the pooling is",
    ("max_pool2d", "count_include_pad"): "padding never wins",
    ("avg_pool2d", "output_size"): "of an output of one pixel it is global_avg_pool2d, else kernel and stride say it",
    ("max_pool2d", "output_size"): "of an output of one pixel it is global_max_pool2d, else kernel and stride say it",
    ("resize", "antialias"): "a smaller image is not smoothed first; an avg_pool2d before it does that",
    ("dropout", "keep_prob"): "rate is the share that is dropped, 1 - keep_prob",
    ("dropout", "keep"): "rate is the share that is dropped, 1 - keep",
    ("batch_norm", "momentum"): "decay is Keras's momentum, and 1 - PyTorch's",
    ("batch_norm", "affine"): "its halves are scale and center",
    ("softmax", "axis"): "it works along the channels",
    ("flatten", "start_dim"): "it takes all of an example",
}  # fmt: skip
"""(layer kind, argument) -> what there is in its place, where no other word says the same."""


def new_name(word: str, known: Iterable[str]) -> str | None:
    """What a word of graphc's own that is no longer known is called now, where the place knows that."""
    place = list(known)
    found = RENAMED.get(word)
    return found if word not in place and found in place else None


def words_for(word: str, known: Iterable[str]) -> list[str] | None:
    """The words of `known` that a peer's word means; None where it is no word of a peer."""
    key, place = simple(word), list(known)
    same = [each for each in place if simple(each) == key]
    if same:
        return same
    found = [table[key].split() for table in (KINDS, ARGUMENTS, VOCABULARY) if key in table]
    if not found and key not in ABSENT:
        return None
    return [each for words in found for each in words if each in place]
