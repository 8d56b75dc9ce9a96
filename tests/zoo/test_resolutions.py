"""Inception's nets at every resolution at which TF-Slim's work: maps, kernels and heads by TF-Slim's own rules.

TF-Slim's final pooling (v1 to v3) and the last convolution of v3's auxiliary head have a kernel of
`_reduced_kernel_size_for_small_input`: a number, or the map's size where that is less. The last convolution of the
auxiliary head of v4 and of Inception-ResNet v2 has the map's own size.
"""

from __future__ import annotations

import pytest

from graphc.compiler import initial_or_loaded
from graphc.errors import SpecError
from graphc.graph import Plan
from graphc.verify import verify
from tests.zoo.slim import plan_of

SIZES = (75, 107, 128, 139, 224, 299, 331, 512)
LOSES_BORDERS = ("inception_v3", "inception_v4", "inception_resnet_v2")


def valid(size: int, kernel: int, stride: int) -> int:
    """TensorFlow's size of what VALID leaves."""
    return (size - kernel) // stride + 1


def maps(net: str, size: int) -> tuple[int, int]:
    """(the map that the auxiliary head reads, the last map), pixels a side."""
    if net in LOSES_BORDERS:  # conv 3/2, conv 3, pool 3/2, conv 3, pool 3/2; then Mixed_6a and Mixed_7a, both 3/2
        for kernel, stride in ((3, 2), (3, 1), (3, 2), (3, 1), (3, 2), (3, 2)):
            size = valid(size, kernel, stride)
        return size, valid(size, 3, 2)
    for _ in range(5):  # five times SAME with stride 2
        size = -(-size // 2)
    return 0, size


def shape_of(plan: Plan, end_point: str) -> tuple[object, ...]:
    shapes = {each.node.name: each.shape for each in plan.nodes}
    return shapes[plan.graph.end_points[end_point]]


def weights_shape(plan: Plan, layer: str) -> tuple[int, ...]:
    return next(spec.shape for name, spec in plan.variables.items() if name.endswith(f"{layer}/weights"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("net", "most", "stride"), [("v1", 7, 1), ("v2", 7, 2), ("v3", 8, 2)])
def test_the_final_pooling_is_no_larger_than_its_map(net: str, most: int, stride: int, size: int) -> None:
    settings = [f"resolution={size}", "global_pool=false", "squeeze=false"]
    plan = plan_of(f"inception_{net}", (*settings, "aux=false") if net == "v3" else tuple(settings))
    _, last = maps(f"inception_{net}", size)
    left = valid(last, min(most, last), stride)
    assert shape_of(plan, "Logits") == (left, left, 1000)


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("net", LOSES_BORDERS)
def test_the_auxiliary_head_fits_its_map(net: str, size: int) -> None:
    plan = plan_of(net, (f"resolution={size}", *(("squeeze=false",) if net == "inception_v3" else ())))
    read, _ = maps(net, size)
    pooled = valid(read, 5, 3)
    kernel = min(5, pooled) if net == "inception_v3" else pooled
    last = "Conv2d_2a" if net == "inception_v4" else "Conv2d_2a_5x5"
    assert weights_shape(plan, f"AuxLogits/{last}") == (kernel, kernel, 128, 768)
    left = pooled - kernel + 1
    assert shape_of(plan, "AuxLogits") == ((left, left, 1000) if net == "inception_v3" else (1000,))


@pytest.mark.parametrize("net", LOSES_BORDERS)
def test_the_smallest_image_has_no_auxiliary_head(net: str) -> None:
    """TensorFlow refuses it too: 5 pixels of a map of 3."""
    assert maps(net, 75) == (3, 1)
    assert shape_of(plan_of(net, ("resolution=75", "aux=false")), "Logits") in ((1000,), (1, 1, 1000))
    with pytest.raises(SpecError, match="kernel=5 is larger than its input of 3"):
        plan_of(net, ("resolution=75",))


@pytest.mark.parametrize("net", ["inception_v4", "inception_resnet_v2"])
def test_a_head_of_the_maps_size_needs_one(net: str) -> None:
    with pytest.raises(SpecError, match="kernel=input needs a fixed size, got") as caught:
        plan_of(net, ("resolution=H",))
    assert caught.value.code == "G205"
    assert caught.value.place is not None
    assert caught.value.place.line > 100


def test_an_open_resolution_is_large_enough() -> None:
    """TF-Slim: if the size is unknown, the images are taken to be large."""
    plan = plan_of("inception_v3", ("resolution=H", "squeeze=false"))
    assert weights_shape(plan, "AuxLogits/Conv2d_2a_5x5") == (5, 5, 128, 768)


@pytest.mark.parametrize(
    ("net", "settings"),
    [
        ("inception_v1", ("resolution=75", "global_pool=false", "classes=10")),
        ("inception_v2", ("resolution=75", "global_pool=false", "classes=10", "depth_multiplier=0.25")),
        ("inception_v3", ("resolution=139", "global_pool=false", "classes=10", "depth_multiplier=0.25")),
    ],
)
def test_onnxruntime_agrees(net: str, settings: tuple[str, ...]) -> None:
    plan = plan_of(net, settings)
    params, _ = initial_or_loaded(plan, 0, None)
    compared = verify(plan, params, batch=1)
    assert {"Logits", *(["AuxLogits"] if net == "inception_v3" else [])} <= {each.name for each in compared}
    assert max(each.error for each in compared) < 1e-4
