"""Words of Keras, PyTorch, TF-Slim, ONNX and darknet: what is proposed for them, and what never is."""

from __future__ import annotations

import pytest

from graphc.errors import Place, SpecError, did_you_mean
from graphc.layers import CATALOGUE
from graphc.passes.arguments import has_no_argument
from graphc.passes.expand import expand
from graphc.peers import ABSENT, ARGUMENTS, KINDS, LIMITS, RENAMED, VOCABULARY, new_name, simple
from graphc.report.vocabulary import words
from graphc.spec.forms import FORMS
from graphc.spec.model import read_spec_text
from graphc.spec.schema_terms import COMMON_KEYS
from graphc.train.recipe import read_recipe_text

RECIPE = """\
recipe: 1
model: net.yaml
data: {{train: digits, {more}}}
loss: mean_squared
optimizer: adam
learning_rate: 0.1
epochs: 1
"""
KNOWN = (*CATALOGUE, *FORMS)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("swish", "silu"), ("upsample", "resize"), ("dense", "fully_connected"),
        ("Linear", "fully_connected"), ("ReLU", "relu"), ("BatchNormalization", "batch_norm"),
        ("LeakyReLU", "leaky_relu"),
        ("BatchNorm2d", "batch_norm"), ("MaxPooling2D", "max_pool2d"), ("MaxPool2d", "max_pool2d"),
        ("Conv1d", "conv1d"),
        ("MaxPooling3D", "max_pool3d"), ("BatchNorm3d", "batch_norm"),
        ("GELU", "gelu"),
        ("deconv", "conv2d_transpose"), ("ConvTranspose2d", "conv2d_transpose"),
        ("Conv2DTranspose", "conv2d_transpose"), ("Conv1DTranspose", "conv1d_transpose"),
        ("ConvTranspose3d", "conv3d_transpose"), ("Cropping1D", "crop"), ("ZeroPadding3D", "pad"),
        ("GAP", "global_avg_pool2d"), ("fully_conected", "fully_connected"), ("rellu", "relu"),
        ("nn.Conv2d", "conv2d"), ("torch.nn.Linear", "fully_connected"), ("F.relu", "relu"), ("Unflatten", "reshape"),
        ("shortcut", "add"), ("ConvolutionDepthwise", "depthwise_conv2d"), ("HybridConcurrent", "branches"),
        ("elemwise_add", "add"), ("LayerNorm2d", "layer_norm"), ("L2Normalization", "unit_norm"),
        ("Conv2D", "conv2d"), ("hardswish", "hard_swish"), ("concatenate", "concat"), ("ZeroPadding2D", "pad"),
        ("Average", "average"), ("LogSoftmax", "log_softmax"), ("Hardtanh", "hard_tanh"), ("RMSNorm", "rms_norm"),
        ("ReduceMean", "reduce_mean"), ("mean", "reduce_mean"), ("clamp", "clip"), ("MatMul", "matmul"),
        ("torch.sub", "subtract"), ("chunk", "split"),
        ("nms", "non_max_suppression"), ("DFL", "decode_distances"), ("BoxCoder", "decode_deltas"),
    ],
)  # fmt: skip
def test_a_kind_of_a_peer(theirs: str, ours: str) -> None:
    assert did_you_mean(theirs, KNOWN) == f" (did you mean {ours!r}?)"


@pytest.mark.parametrize(
    "word",
    [
        "RandomZoom",
        "Normalization",
        "Lambda",
        "Rescaling",
        "Tile",
        "stair",
        "relie",
        "Pooling",
        "Normalize",
        "Identity",
        "none",
        "glu",
        "celu",
        "crelu",
        "relu1",
        "relu5",
        "RNN",
    ],
)
def test_nothing_is_proposed_that_means_something_else(word: str) -> None:
    assert did_you_mean(word, KNOWN) == ""


@pytest.mark.parametrize(
    ("kind", "theirs", "ours"),
    [
        ("conv2d", "units", "filters"), ("conv2d", "out_channels", "filters"), ("conv2d", "kernel_size", "kernel"),
        ("conv2d", "strides", "stride"), ("conv2d", "dilation_rate", "dilation"), ("conv2d", "use_bias", "bias"),
        ("fully_connected", "filters", "units"), ("fully_connected", "out_features", "units"),
        ("dropout", "dropout_rate", "rate"), ("dropout", "p", "rate"), ("max_pool2d", "pool_size", "kernel"),
        ("batch_norm", "eps", "epsilon"), ("leaky_relu", "negative_slope", "alpha"), ("conv2d", "kernl", "kernel"),
        ("conv2d", "kernel_initializer", "weights_initializer"), ("resize", "scale_factor", "scale"),
    ],
)  # fmt: skip
def test_an_argument_of_a_peer(kind: str, theirs: str, ours: str) -> None:
    text = f"graphc: 1\ninputs: {{x: [N, 8, 8, 4]}}\nlayers: [{kind}: {{{theirs}: 3}}]\n"
    with pytest.raises(SpecError, match=rf"did you mean '{ours}'\?"):
        expand(read_spec_text(text))


@pytest.mark.parametrize(
    ("theirs", "hint"),
    [
        ("leaky", "'leaky_relu', with alpha: 0.1"), ("UpSampling2D", "'resize', whose scale is UpSampling2D's size"),
        ("UpsamplingBilinear2d", "'resize', with method: bilinear and coordinates: align_corners"),
        ("PixelShuffle", "'depth_to_space', with order: CRD"),
        ("conv2d_same", "'conv2d', with padding: same_fixed"),
    ],
)  # fmt: skip
def test_a_word_whose_defaults_differ_is_proposed_with_what_makes_it_the_same(theirs: str, hint: str) -> None:
    assert did_you_mean(theirs, KNOWN) == f" (did you mean {hint}?)"


@pytest.mark.parametrize(
    ("kind", "theirs", "message"),
    [
        ("avg_pool2d", "dilation_rate", "pooling with dilation is not supported"),
        ("depthwise_conv2d", "num_outputs", "it has depth_multiplier filters for every channel"),
        ("conv2d", "in_channels", "it is what the layer reads"),
        ("relu", "inplace", "memory is shared where it can be"),
        ("max_pool2d", "data_format", "images are N H W C in a spec; compile --layout nchw is for the file"),
        ("conv2d", "no_bias", "bias: false says it"), ("elu", "negative_slope", "leaky_relu has one, as alpha"),
    ],
)  # fmt: skip
def test_what_a_kind_lacks_is_said(kind: str, theirs: str, message: str) -> None:
    assert (
        has_no_argument(CATALOGUE[kind], theirs, Place("")).message == f"{kind} has no argument '{theirs}': {message}"
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("activation: linear", "activation 'linear' is said by activation: none"),
        ("activation: Swish", "no activation or block is named 'Swish' (did you mean 'silu'?)"),
        ("activation: dense", "no activation or block is named 'dense'; there are elu, gelu, hard_sigmoid,"),
        ("normalizer: BatchNorm2d", "no normalizer or block is named 'BatchNorm2d' (did you mean 'batch_norm'?)"),
        ("normalizer: bnorm_params", "no normalizer or block is named 'bnorm_params'"),
    ],
)
def test_what_follows_a_layer_is_one_of_its_family(written: str, message: str) -> None:
    text = f"graphc: 1\ninputs: {{x: [N, 8, 8, 4]}}\nlayers: [conv2d: {{filters: 1, kernel: 1, {written}}}]\n"
    with pytest.raises(SpecError) as caught:
        expand(read_spec_text(text))
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(("kind", "argument"), LIMITS)
def test_a_limit_is_said_as_one(kind: str, argument: str) -> None:
    assert argument not in CATALOGUE[kind].model_fields
    text = f"graphc: 1\ninputs: {{x: [N, 8, 8, 4]}}\nlayers: [{kind}: {{{argument}: 2}}]\n"
    with pytest.raises(SpecError) as caught:
        expand(read_spec_text(text))
    assert caught.value.message == f"{kind} has no argument '{argument}': {LIMITS[kind, argument]}"


def test_every_word_that_is_proposed_exists() -> None:
    known = {word.name for word in words()} | {*KNOWN, *COMMON_KEYS, "nearest", "bilinear", "l1", "l2"}
    known |= {name for layer in CATALOGUE.values() for name in (*layer.model_fields, *layer.accepts)}
    known |= {setting.name for word in words() for setting in word.settings}
    known |= {name for form in FORMS.values() for name in form.keys}
    for table in (KINDS, ARGUMENTS, VOCABULARY):
        for theirs, ours in table.items():
            assert theirs == simple(theirs)
            assert set(ours.split()) <= known, theirs
    assert all(word == simple(word) for word in ABSENT)
    assert not ABSENT & {simple(name) for name in CATALOGUE}


@pytest.mark.parametrize(
    ("steps", "theirs", "ours"),
    [
        ("[normalise]", "normalise", "min_max_scale"), ("[standardise]", "standardise", "standardize"),
        ("[{centre: {per: image}}]", "centre", "center"),
        ("[{crop: {size: [2, 2]}}]", "crop", "center_crop"),
    ],
)  # fmt: skip
def test_a_step_that_was_renamed(steps: str, theirs: str, ours: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_recipe_text(RECIPE.format(more=f"preprocess: {{steps: {steps}}}"))
    assert f"found '{theirs}' (it is called '{ours}' now)" in caught.value.message
    assert caught.value.place == Place("recipe.yaml", 3, 44)


def test_other_words_of_a_recipe_that_were_renamed() -> None:
    with pytest.raises(SpecError, match=r"unknown key 'unlabelled' \(it is called 'unlabeled' now\)"):
        read_recipe_text(RECIPE.format(more="unlabelled: {npz: {path: x.npz}}"))
    with pytest.raises(SpecError, match=r"unknown key 'parts' \(it is called 'shards' now\)"):
        read_recipe_text(RECIPE.format(more=""), overrides=["parts=4"])
    renamed = {"stop_early": "early_stopping", "watch": "monitor", "average": "ema", "start": "init_from"}
    for old, new in {**renamed, "short_batch": "drop_last"}.items():
        with pytest.raises(SpecError, match=rf"unknown key '{old}' \(it is called '{new}' now\)"):
            read_recipe_text(RECIPE.format(more=""), overrides=[f"{old}=1"])
    with pytest.raises(SpecError, match="expected 'bgr' or 'gray', found 'grey'"):
        read_recipe_text(RECIPE.format(more="preprocess: {steps: [{channels: {to: grey}}]}"))


def test_every_new_name_exists() -> None:
    known = {word.name for word in words()} | {setting.name for word in words() for setting in word.settings}
    assert set(RENAMED.values()) - known == {"gray"}
    assert (
        not (set(RENAMED) - {"crop", "average", "start", "delta", "parts"}) & known
    )  # these are words of other places still
    assert new_name("centre", ["center"]) == "center"
    assert new_name("crop", ["crop", "center_crop"]) is None
    assert new_name("crop", ["slice"]) is None
