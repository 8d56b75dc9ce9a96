"""What a context gives a layer by itself."""

from __future__ import annotations

from graphc.kernels.context import RunContext


def test_random_numbers_depend_on_the_key():
    assert RunContext(key=(1, 2)).random().random() == RunContext(key=(1, 2)).random().random()
    assert RunContext(key=(1, 2)).random().random() != RunContext(key=(1, 3)).random().random()


def test_alone_it_is_the_whole_batch():
    context = RunContext()
    assert context.gather("mine") == ["mine"]
    assert context.each_slice(lambda part: part, 7) == [slice(0, 7)]
