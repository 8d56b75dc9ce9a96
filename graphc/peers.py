"""What Keras, PyTorch, TF-Slim, ONNX and darknet call what graphc calls otherwise: hints, never synonyms.

A word is looked up in small letters without `_`, `-`, spaces and what stands before a dot. The first of its words
that the place knows is proposed. A word with none is one that graphc has nothing for, however near another word is
spelt: a hint that changes the model is worse than none.
"""

from __future__ import annotations

from collections.abc import Iterable


def simple(word: str) -> str:
    """`BatchNorm_2d` as `batchnorm2d`, `nn.Conv2d` as `conv2d`."""
    return "".join(letter for letter in word.rpartition(".")[2].lower() if letter not in "_- ")


KINDS = {
    "conv": "conv2d", "convolution": "conv2d", "convolution2d": "conv2d", "convolutional": "conv2d",
    "depthwise": "depthwise_conv2d", "depthwiseconv": "depthwise_conv2d", "dwconv": "depthwise_conv2d",
    "depthwiseconvolution2d": "depthwise_conv2d", "separableconv": "separable_conv2d",
    "separableconvolution2d": "separable_conv2d",
    "deconv": "conv2d_transpose", "deconv2d": "conv2d_transpose", "deconvolution": "conv2d_transpose",
    "convtranspose": "conv2d_transpose", "convtranspose2d": "conv2d_transpose", "transposedconv2d": "conv2d_transpose",
    "transposeconv2d": "conv2d_transpose", "deconvolutional": "conv2d_transpose",
    "convtranspose1d": "conv1d_transpose", "transposedconv1d": "conv1d_transpose", "deconv1d": "conv1d_transpose",
    "convtranspose3d": "conv3d_transpose", "transposedconv3d": "conv3d_transpose", "deconv3d": "conv3d_transpose",
    "dense": "fully_connected", "linear": "fully_connected", "fc": "fully_connected", "gemm": "fully_connected",
    "connected": "fully_connected", "innerproduct": "fully_connected", "fullyconnectedlayer": "fully_connected",
    "bias": "bias_add",
    "nms": "non_max_suppression", "nonmaxsuppression": "non_max_suppression", "batchednms": "non_max_suppression",
    "dist2bbox": "decode_distances", "dfl": "decode_distances", "boxcoder": "decode_deltas",
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
    "grn": "global_response_norm",
    "dropout1d": "spatial_dropout", "dropout2d": "spatial_dropout", "dropout3d": "spatial_dropout",
    "spatialdropout1d": "spatial_dropout", "spatialdropout2d": "spatial_dropout", "spatialdropout3d": "spatial_dropout",
    "lppool": "lp_pool2d", "maxunpool": "max_unpool2d", "unpool": "max_unpool2d", "unpooling": "max_unpool2d",
    "alphadropout": "", "stochasticdepth": "drop_path", "blurpool": "blur_pool2d",
    "zeropadding2d": "pad", "zeropad2d": "pad", "constantpad2d": "pad", "reflectionpad2d": "pad", "padding": "pad",
    "replicationpad2d": "pad", "circularpad2d": "pad", "zeropadding1d": "pad", "zeropadding3d": "pad",
    "zeropad1d": "pad", "zeropad3d": "pad", "constantpad1d": "pad", "constantpad3d": "pad", "reflectionpad1d": "pad",
    "reflectionpad3d": "pad", "replicationpad1d": "pad", "replicationpad3d": "pad", "circularpad1d": "pad",
    "circularpad3d": "pad",
    "cropping2d": "crop", "cropping1d": "crop", "cropping3d": "crop", "centercrop": "crop",
    "upsample": "resize", "upsampling": "resize", "upsampling2d": "resize", "upsampling1d": "resize",
    "upsampling3d": "resize", "interpolate": "resize",
    "resizing": "resize", "resizebilinear": "resize", "upsamplenearest2d": "resize", "upsamplingbilinear2d": "resize",
    "pixelshuffle": "depth_to_space", "subpixel": "depth_to_space", "pixelunshuffle": "space_to_depth",
    "reorg": "space_to_depth", "shuffle": "channel_shuffle",
    "bilstm": "lstm", "cudnnlstm": "lstm", "cudnngru": "gru", "attention": "multi_head_attention",
    "mha": "multi_head_attention", "selfattention": "multi_head_attention", "positionalencoding": "position_embedding",
    "positionalembedding": "position_embedding", "posembed": "position_embedding", "clstoken": "class_token",
    "concatenate": "concat", "cat": "concat", "route": "concat", "merge": "", "eltwise": "add", "sum": "add reduce_sum",
    "elementwiseadd": "add", "addn": "add", "mul": "multiply", "prod": "multiply", "layerscale2d": "layer_scale",
    "view": "reshape", "squeeze": "flatten", "sequential": "group", "block": "group", "parallel": "branches",
    "chunk": "split", "narrow": "slice", "sliceaxis": "slice", "skip": "residual",
    "shortcut": "add", "elemwiseadd": "add", "broadcastadd": "add", "elemwisemul": "multiply",
    "broadcastmul": "multiply", "unflatten": "reshape", "layernorm2d": "layer_norm", "syncbatchnorm": "batch_norm",
    "frozenbatchnorm2d": "batch_norm", "l2normalization": "unit_norm", "lazyconv2d": "conv2d", "lazylinear":
    "fully_connected", "conv2dsame": "conv2d", "convolutiondepthwise": "depthwise_conv2d", "hybridsequential": "group",
    "hybridconcurrent": "branches", "shufflechannel": "channel_shuffle", "interp": "resize", "bilinearresize2d":
    "resize", "upsamplingnearest2d": "resize", "adaptiveavgpooling2d": "global_avg_pool2d", "hardsilu": "hard_swish",
    "sub": "subtract", "div": "divide", "truediv": "divide", "elementwisemax": "maximum", "elementwisemin": "minimum",
    "minus": "subtract", "mean": "reduce_mean", "max": "reduce_max", "min": "reduce_min", "amax": "reduce_max",
    "amin": "reduce_min", "pow": "power", "abs": "absolute", "bmm": "matmul", "dot": "matmul", "clamp": "clip",
    "clipbyvalue": "clip", "exponential": "exp", "rsqrt": "power", "reciprocal": "power", "batchmatmul": "matmul",
    "coordconv": "coordinates", "addcoords": "coordinates", "meshgrid": "coordinates",
    "convolution1d": "conv1d", "convolution3d": "conv3d", "temporalconv": "conv1d",
    "maxpooling1d": "max_pool1d", "maxpooling3d": "max_pool3d", "averagepooling1d": "avg_pool1d",
    "averagepooling3d": "avg_pool3d", "averagepool1d": "avg_pool1d", "globalaveragepooling1d": "global_avg_pool1d",
    "globalaveragepooling3d": "global_avg_pool3d", "globalmaxpooling1d": "global_max_pool1d",
    "globalmaxpooling3d": "global_max_pool3d", "adaptiveavgpool1d": "global_avg_pool1d",
    "adaptiveavgpool3d": "global_avg_pool3d", "adaptivemaxpool1d": "global_max_pool1d",
    "adaptivemaxpool3d": "global_max_pool3d", "batchnorm3d": "batch_norm", "instancenorm1d": "instance_norm",
    "instancenorm3d": "instance_norm",
    "permute": "transpose",
}  # fmt: skip
"""Layer kinds, activations and compositions; the empty word: graphc has no such kind."""

ABSENT = frozenset(
    {
        "none", "relu1", "relun", "crelu", "celu",
        "glu", "rrelu", "softmin", "softshrink", "hardshrink", "tanhshrink",
        "threshold", "logsigmoid", "swiglu", "geglu", "weightnorm", "spectralnorm",
        "fractionalmaxpool2d", "rnn", "embedding",
        "einsum", "gather", "msle", "mape", "wasserstein", "lbfgs", "adadelta",
        "rprop", "nadam", "radam", "adamax", "ftrl", "linear", "identity", "stair", "relie", "plse", "loggy", "ramp",
        "hardtan", "lhtan", "sparsemax", "squareplus", "tile", "exponent",
        "normalize", "randomzoom", "zoom", "randomcrop", "normalization", "activation", "input", "inputlayer", "lambda",
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
    "normalization": "normalizer",
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
    "bordermode": "padding", "autopad": "padding", "subsample": "stride", "nbfilter": "filters", "numfilter": "filters",
    "numoutput": "filters units", "numhidden": "units", "output": "units outputs", "numgroup": "groups",
    "weightfiller": "weights_initializer", "biasfiller": "biases_initializer", "biasterm": "bias",
    "kerneldilation": "dilation", "depthwiseinitializer": "weights_initializer",
    "depthwiseregularizer": "weights_regularizer", "dropoutratio": "rate", "probability": "rate", "cropping": "cut",
    "constantvalues": "value", "constantvalue": "value", "padmode": "mode", "targetsize": "size",
    "coordinatetransformationmode": "coordinates",
    "iscausal": "causal", "usecausalmask": "causal",
    "hiddensize": "units", "numheads": "heads", "nheads": "heads", "nhead": "heads", "keydim": "key_size",
    "headsize": "key_size", "recurrentinitializer": "recurrent_initializer",
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
    "ciou": "box_iou", "giou": "box_iou", "diou": "box_iou", "iouloss": "box_iou", "giouloss": "box_iou",
    "smoothl1": "huber", "smoothl1loss": "huber", "huberloss": "huber", "cosinesimilarity": "cosine",
    "ctcloss": "ctc", "cer": "character_error_rate", "editdistance": "character_error_rate",
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
    "randomrotate90": "rotate_90", "rot90": "rotate_90", "randomperspective": "perspective",
    "randomgrayscale": "random_gray", "tograyscale": "random_gray", "randaug": "rand_augment",
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
    "stop_early": "early_stopping", "watch": "monitor", "average": "ema", "start": "init_from",
    "short_batch": "drop_last", "keep_boxes": "min_visibility", "mapped": "mmap", "delta": "min_delta",
}  # fmt: skip
"""What graphc itself called otherwise once."""

WITH = {
    "bilstm": "with bidirectional: true",
    "leaky": "with alpha: 0.1",
    "resizing": "with method: bilinear",
    "resizebilinear": "with method: bilinear",
    "bilinearresize2d": "with method: bilinear and coordinates: align_corners",
    "upsamplingbilinear2d": "with method: bilinear and coordinates: align_corners",
    "interp": "with method: bilinear and coordinates: align_corners",
    "upsampling2d": "whose scale is UpSampling2D's size",
    "upsampling": "whose scale is UpSampling's",
    "upsampling1d": "whose scale is UpSampling1D's size",
    "upsampling3d": "whose scale is UpSampling3D's size",
    "pixelshuffle": "with order: CRD",
    "pixelunshuffle": "with order: CRD",
    "frozenbatchnorm2d": "with frozen: true",
    "autopad": "whose same is SAME_UPPER",
    "conv2dsame": "with padding: same_fixed",
    "reflectionpad1d": "with mode: reflect",
    "reflectionpad2d": "with mode: reflect",
    "reflectionpad3d": "with mode: reflect",
    "replicationpad1d": "with mode: edge",
    "replicationpad2d": "with mode: edge",
    "replicationpad3d": "with mode: edge",
    "circularpad1d": "with mode: circular",
    "circularpad2d": "with mode: circular",
    "circularpad3d": "with mode: circular",
    "adaptiveavgpool2d": "for one pixel; for more avg_pool2d with output_size",
    "adaptiveavgpooling2d": "for one pixel; for more avg_pool2d with output_size",
    "adaptivemaxpool2d": "for one pixel; for more max_pool2d with output_size",
    "adaptiveavgpool1d": "for one position; for more avg_pool1d with output_size",
    "adaptiveavgpool3d": "for one position; for more avg_pool3d with output_size",
    "adaptivemaxpool1d": "for one position; for more max_pool1d with output_size",
    "adaptivemaxpool3d": "for one position; for more max_pool3d with output_size",
    "lrn": "whose alpha is not divided by the size",
    "kernelregularizer": "whose l2 is of half the square",
    "biasregularizer": "whose l2 is of half the square",
}
"""A peer's word -> what has to be said beside ours, so that it is the same."""

INSTEAD = {
    "rnn": "of recurrent kinds there are lstm and gru",
    "simplernn": "of recurrent kinds there are lstm and gru",
    "activation": "an activation is a kind of its own, such as relu",
    "input": "inputs are said at the top of a spec",
    "inputlayer": "inputs are said at the top of a spec",
    "placeholder": "inputs are said at the top of a spec",
    "identity": "a layer that does nothing is left out",
    "pool": "there are max_pool2d and avg_pool2d, and the same with 1d and 3d",
    "pooling": "there are max_pool2d and avg_pool2d, and the same with 1d and 3d",
    "rescaling": "a constant factor is scale; what is done to images before the net is said in a recipe",
    "subtract": "there are add, multiply and scale, which takes a factor of -1",
    "merge": "there are add, multiply and concat",
}
"""What there is, where no word of ours means a peer's."""

LIMITS = {
    ("lstm", "num_layers"): "several are a repeat, or one below the other",
    ("gru", "num_layers"): "several are a repeat, or one below the other",
    ("lstm", "dropout"): "a dropout layer before or behind it does that",
    ("gru", "dropout"): "a dropout layer before or behind it does that",
    ("lstm", "return_state"): "return_sequences: false gives the last state",
    ("gru", "reset_after"): "it always is: the reset gate stands behind the product",
    ("multi_head_attention", "attn_mask"): "a third input is the mask, 1 where seen: inputs: [x, memory, mask]",
    ("multi_head_attention", "attention_mask"): "a third input is the mask, 1 where seen: inputs: [x, memory, mask]",
    ("multi_head_attention", "key_padding_mask"): "a third input is the mask, 1 where seen: inputs: [x, memory, mask]",
    ("position_embedding", "max_length"): "it has a vector for each position that its input has",
    ("avg_pool2d", "dilation"): "pooling with dilation is not supported",
    ("max_pool2d", "count_include_pad"): "padding never wins",
    ("dropout", "keep_prob"): "rate is the share that is dropped, 1 - keep_prob",
    ("dropout", "keep"): "rate is the share that is dropped, 1 - keep",
    ("batch_norm", "momentum"): "decay is Keras's momentum, and 1 - PyTorch's",
    ("batch_norm", "affine"): "its halves are scale and center",
    ("local_response_norm", "size"): "depth_radius is (size - 1)/2, and alpha the peers' divided by size",
    ("local_response_norm", "k"): "bias is the peers' k",
    ("relu", "max_value"): "relu6 ends at 6",
    ("relu", "negative_slope"): "leaky_relu has one, as alpha",
    ("relu", "alpha"): "leaky_relu has one",
    ("prelu", "init"): "alpha_initializer is {constant: 0.25}, or what is written",
    ("resize", "align_corners"): "coordinates: align_corners says it",
    ("resize", "half_pixel_centers"): "coordinates: half_pixel says it",
    ("depthwise_conv2d", "filters"): "it has depth_multiplier filters for every channel",
    ("depthwise_conv2d", "groups"): "every channel is a group",
    ("separable_conv2d", "groups"): "every channel is a group",
    ("conv2d", "depth_multiplier"): "depthwise_conv2d has one",
    ("conv2d_transpose", "output_shape"): "stride, padding and output_padding say it",
    ("layer_norm", "normalized_shape"): "axes says what is normalized: channels or all",
    ("layer_norm", "axis"): "axes says what is normalized: channels or all",
    ("layer_norm", "elementwise_affine"): "its halves are scale and center",
    ("group_norm", "affine"): "its halves are scale and center",
    ("instance_norm", "affine"): "its halves are scale and center",
    ("batch_norm", "axis"): "every channel is normalized for itself",
    ("batch_norm", "is_training"): "training is what graphc train does; frozen: true keeps the statistics",
    ("batch_norm", "training"): "training is what graphc train does; frozen: true keeps the statistics",
    ("batch_norm", "track_running_stats"): "the statistics are always kept",
    ("elu", "negative_slope"): "leaky_relu has one, as alpha",
    ("elu", "slope"): "leaky_relu has one, as alpha",
    ("resize", "stride"): "scale is darknet's stride",
    ("space_to_depth", "stride"): "block is darknet's stride",
    ("flatten", "end_dim"): "it takes all of an example",
    ("flatten", "axis"): "it takes all of an example",
    ("fully_connected", "in_features"): "it is what the layer reads",
    ("flatten", "start_dim"): "it takes all of an example",
}  # fmt: skip
"""(layer kind, argument) -> what there is in its place, where no other word says the same."""

EVERYWHERE = {
    "dataformat": "images are N H W C in a spec; compile --layout nchw is for the file",
    "inputshape": "shapes are said once, in the spec's inputs",
    "inputdim": "shapes are said once, in the spec's inputs",
    "batchinputshape": "shapes are said once, in the spec's inputs",
    "inchannels": "it is what the layer reads",
    "inplanes": "it is what the layer reads",
    "numfeatures": "it is what the layer reads",
    "numchannels": "it is what the layer reads",
    "inplace": "memory is shared where it can be",
    "paddingmode": "a pad layer before it has mode: reflect",
    "dtype": "arrays are float32",
    "nobias": "bias: false says it",
    "device": "it is no part of a model",
    "kernelconstraint": "weights are not constrained",
    "scope": "name says it",
    "variablesoutputcollections": "it is no part of a model",
    "returnindices": "a pooling gives its values only",
}
"""A peer's argument that no kind has -> why."""


def limit_of(kind: str, argument: str) -> str | None:
    """What there is in place of an argument that the kind lacks, where no other word says the same."""
    ours = ARGUMENTS.get(simple(argument), "").split()
    limits = [LIMITS[kind, word] for word in (argument, *ours) if (kind, word) in LIMITS]
    return limits[0] if limits else EVERYWHERE.get(simple(argument))


def new_name(word: str, known: Iterable[str]) -> str | None:
    """What a word of graphc's own that is no longer known is called now, where the place knows that."""
    place = list(known)
    found = RENAMED.get(word)
    return found if word not in place and found in place else None


VALUES = {
    ("biases_initializer", "none"): "no biases are said by bias: false",
    ("axis", "-1"): "the last axis is channels",
    ("axis", "3"): "the axis 3 of N H W C is channels",
    ("mode", "replicate"): "the border pixel again is said by edge",
    ("mode", "wrap"): "from the other side is said by circular",
    ("padding_mode", "replicate"): "the border pixel again is said by edge",
    ("padding_mode", "constant"): "zeros are said by zeros",
    ("approximate", "none"): "the exact form is said by leaving it out",
    ("approximate", "true"): "the form with tanh is said by tanh",
    ("approximate", "false"): "the exact form is said by leaving it out",
}  # fmt: skip
"""(argument, what a peer writes for it) -> how the same is said here."""


def words_for(word: str, known: Iterable[str]) -> list[str] | None:
    """The words of `known` that a peer's word means; None where it is no word of a peer."""
    key, place = simple(word), list(known)
    same = [each for each in place if simple(each) == key]
    if same:
        return same
    tables = (KINDS,) if "conv2d" in place else (KINDS, ARGUMENTS, VOCABULARY)
    found = [table[key].split() for table in tables if key in table]
    if not found and key not in ABSENT and key not in INSTEAD:
        return None
    return [each for words in found for each in words if each in place]
