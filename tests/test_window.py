"""Padding conventions, judged by TensorFlow's published rule and values, and reaches by brute force."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphc.dims import Formula, residues
from graphc.errors import RuleError
from graphc.receptive_field import HERE, Reach
from graphc.window import AxisPadding, TransposedWindow, Window

H = Formula.symbol("H")


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "pads", "output"),
    [
        (224, 7, 2, 1, (2, 3), 112),
        (6, 3, 2, 1, (0, 1), 3),
        (5, 3, 2, 1, (1, 1), 3),
        (4, 3, 1, 1, (1, 1), 4),
        (4, 2, 1, 1, (0, 1), 4),
        (10, 3, 1, 2, (2, 2), 10),
        (7, 1, 2, 1, (0, 0), 4),
        (1, 3, 2, 1, (1, 1), 1),
    ],
)
def test_same_puts_the_odd_pixel_after(
    size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], output: int
) -> None:
    window = Window.over(size, kernel, stride, "same", dilation)
    assert (window.pads, window.output) == (pads, output)


def test_same_of_a_symbol() -> None:
    unknown = Window.over(H, 3, 2, "same")
    assert (unknown.pads, unknown.before, str(unknown.output)) == (None, None, "(H + 1)//2")
    assert Window.over(H, 3, 1, "same").pads == (1, 1)
    assert Window.over(H, 2, 2, "same").before == 0  # 0 or 1 after, never any before
    assert Window.over(H, 2, 2, "same").pads == (0, 1)  # the one too many is in no window
    assert Window.over(H * 32, 3, 2, "same").pads == (0, 1)


def test_same_fixed_does_not_look_at_the_size() -> None:
    assert [Window.over(size, 3, 2, "same_fixed").pads for size in (223, 224)] == [(1, 1), (1, 1)]
    assert Window.over(4, 4, 2, "same_fixed").pads == (1, 2)


def test_a_kernel_larger_than_its_input_is_refused() -> None:
    with pytest.raises(RuleError, match="kernel=7 is larger than its input of 5 with padding"):
        Window.over(5, 7)
    with pytest.raises(RuleError, match=r"kernel=3 \(dilation 3 spreads it over 7\)"):
        Window.over(5, 3, dilation=3)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "output"),
    [
        (10, 3, 1, "valid", 12),
        (9, 3, 2, "valid", 19),
        (3, 2, 2, "same", 6),
        (2, 4, 5, "same", 10),
        (2, 4, 5, "valid", 10),
    ],
)
def test_transposed_sizes_are_tensorflows(
    size: int, kernel: int, stride: int, padding: AxisPadding, output: int
) -> None:
    assert TransposedWindow.over(size, kernel, stride, padding).output == output


LAYERS = st.one_of(
    st.builds(
        lambda k, s, d, p: Window.over(64, k, s, (p, p + 1), d),
        st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2),
    ),
    st.builds(
        lambda k, s, p: TransposedWindow.over(64, k, s, (p, 0)),
        st.integers(1, 5), st.integers(1, 4), st.integers(0, 2),
    ),
)  # fmt: skip


def inputs_read(layer: Window | TransposedWindow, position: int) -> set[int]:
    """The interval of inputs that one output reads, by the definition of the two convolutions."""
    if isinstance(layer, Window):
        assert layer.pads is not None
        start = position * layer.stride - layer.pads[0]
        return set(range(start, start + layer.extent))
    return {x for x in range(-500, 500) if 0 <= position + layer.pads[0] - x * layer.stride < layer.kernel}


@given(st.lists(LAYERS, min_size=1, max_size=4), st.integers(0, 7))
def test_a_reach_is_what_counting_finds(layers: list[Window | TransposedWindow], position: int) -> None:
    reach = HERE
    for layer in layers:
        reach = reach.then(Reach.of(layer) if isinstance(layer, Window) else Reach.of_transposed(layer))
    seen = {position}
    for layer in reversed(layers):
        read = [inputs_read(layer, each) for each in range(min(seen), max(seen) + 1)]
        touched = set().union(*read)
        if not touched:  # a transposed convolution with kernel < stride leaves outputs that read nothing
            return
        seen = touched
    if all(isinstance(layer, Window) or layer.kernel >= layer.stride for layer in layers):
        assert (reach.first(position), reach.last(position)) == (min(seen), max(seen))


def test_vgg_16_by_hand() -> None:
    """Araujo et al.: pool5 of VGG-16 sees 212, at stride 32, with padding 90."""
    reach, size = HERE, 224
    for convolutions in (2, 2, 3, 3, 3):
        for _ in range(convolutions):
            reach = reach.then(Reach.of(Window.over(size, 3, 1, "same")))
        reach = reach.then(Reach.of(Window.over(size, 2, 2, "valid")))
        size //= 2
    assert (reach.size, reach.stride, reach.padding) == (212, 32, 90)


def test_joining_paths() -> None:
    wide, narrow = Reach.of(Window.over(9, 5, 1, "same")), Reach.of(Window.over(9, 3, 1, "same"))
    assert wide.join(narrow) == wide
    assert wide.is_aligned_with(narrow)
    shifted = Reach.of(Window.over(9, 3, 1, (2, 0)))
    assert not wide.is_aligned_with(shifted)
    assert (wide.join(shifted).low, wide.join(shifted).high) == ((-2,), (2,))


OPEN = [H, 2 * H, 3 * H + 1, 4 * H + 2, 8 * H + 3, H // 2, 4 * ((H + 1) // 2)]


@pytest.mark.parametrize("size", [1, 7, 8, *OPEN], ids=str)
def test_the_pads_of_an_open_size_are_those_of_everything_that_it_can_be(size):
    for kernel, stride, dilation in itertools.product(range(1, 5), range(1, 9), (1, 2)):
        extent = (kernel - 1) * dilation + 1
        totals = {max(extent - (rest or stride), 0) for rest in residues(size, stride)}
        befores = {total // 2 for total in totals}
        window = Window.over(size, kernel, stride, "same", dilation)
        assert window.before == (befores.pop() if len(befores) == 1 else None)
        if window.before is not None:
            assert window.pads == (window.before, (totals.pop() if len(totals) == 1 else extent - 1) - window.before)


def test_the_taps_of_a_transposed_window_are_those_that_are_strides_away():
    for kernel, stride, dilation, before in itertools.product(range(1, 6), range(1, 7), range(1, 5), range(4)):
        window = TransposedWindow(8, kernel, stride, 8 * stride, (before, before), dilation)
        reach = Reach.of_transposed(window)
        for phase, place in enumerate(range(before, before + stride)):
            taps = [tap * dilation for tap in range(kernel)]
            seen = [(place - tap) // stride for tap in taps if (place - tap) % stride == 0]
            assert reach.low[phase] == min(seen, default=-(-place // stride))
            assert reach.high[phase] == max(seen, default=reach.low[phase] - 1)
