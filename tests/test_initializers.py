"""Draws: moments, the distribution, the bytes, and that a variable's draw is its own."""

from __future__ import annotations

import hashlib
import threading
from functools import partial

import numpy as np
import pytest
from pydantic import BaseModel

from graphc.draws import do_all, fans
from graphc.errors import RuleError
from graphc.initializers import KINDS, AnyInitializer, Normal, Zeros, initial_values, parse
from graphc.variables import ParamSpec

stats = pytest.importorskip("scipy.stats")


class Field(BaseModel):
    start: AnyInitializer = Zeros()


@pytest.mark.parametrize(
    ("written", "digest"),
    [
        ("xavier", "6dbd65fd96b8fe2f"),
        ({"truncated_normal": 0.01}, "ede97d56c4c9db6a"),
        ({"normal": {"stddev": 2, "mean": 1}}, "7a97d6bd759477b0"),
        ({"uniform": [-1, 1]}, "83ba950f72a0b25e"),
        ("he", "6fa5c46ca7e84bba"),
        ("orthogonal", "f69170fc521076d5"),
    ],
)
def test_the_same_bytes_on_every_machine(written, digest):
    array = parse(written).draw((3, 3, 7, 11), "net/conv/weights", 42)
    assert array.dtype == np.float32
    assert hashlib.sha256(array.astype("<f4").tobytes()).hexdigest()[:16] == digest


def test_normal_is_normal():
    values = parse({"normal": 1.0}).draw((1000, 1000), "a", 0)
    assert stats.kstest(values.ravel()[:200_000], "norm").pvalue > 0.01
    assert values.mean() == pytest.approx(0, abs=4e-3)
    assert values.std() == pytest.approx(1, abs=3e-3)
    assert stats.kurtosis(values.ravel()) == pytest.approx(0, abs=0.02)


def test_truncated_normal_is_truncated():
    values = parse({"truncated_normal": {"stddev": 0.5, "mean": 1}}).draw((1_000_000,), "a", 0).astype("f8")
    assert np.abs(values - 1).max() <= 1
    assert stats.kstest((values[:200_000] - 1) / 0.5, stats.truncnorm(-2, 2).cdf).pvalue > 0.01
    assert values.std() == pytest.approx(0.5 * stats.truncnorm.std(-2, 2), rel=3e-3)


def test_uniform_stays_within_its_bounds():
    values = parse({"uniform": [2, 3]}).draw((1_000_000,), "a", 0)
    assert (values >= 2).all()
    assert (values <= 3).all()
    assert stats.kstest(values[:200_000] - 2, "uniform").pvalue > 0.01


@pytest.mark.parametrize("shape", [(100, 40), (100, 40, 5, 7)])
@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_variance_scaling_has_its_variance(shape, uniform, mode):
    values = parse({"variance_scaling": {"mode": mode, "uniform": uniform}}).draw(shape, "a", 0)
    n = {"fan_in": fans(shape)[0], "fan_out": fans(shape)[1], "fan_avg": sum(fans(shape)) / 2}[mode]
    of_truncated = 1.3 * stats.truncnorm.var(-2, 2)
    expected = 2 / n * (1 if uniform else of_truncated)
    assert values.var() == pytest.approx(expected, abs=1e-3)
    assert values.var() == pytest.approx(expected, rel=0.1)


def test_fans_are_tf_slims():
    assert fans((3, 5, 7, 11)) == (105, 165)
    assert fans((100, 40)) == (100, 40)
    assert fans((9,)) == (9, 9)
    assert fans(()) == (1, 1)


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (3, 40), (40, 3)])
def test_orthogonal_is_orthogonal(shape):
    matrix = parse({"orthogonal": 2.0}).draw(shape, "a", 0).reshape(-1, shape[-1]).astype("f8")
    square = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    assert square == pytest.approx(4 * np.eye(len(square)), abs=1e-6)


def test_constants_and_identity():
    assert parse({"constant": 0.5}).draw((2, 2), "a", 0).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert parse({"constant": [[1], [2]]}).draw((2, 2), "a", 0).tolist() == [[1, 1], [2, 2]]
    assert parse("ones").draw((2,), "a", 0).tolist() == [1, 1]
    assert parse("identity").draw((2, 3), "a", 0).tolist() == [[1, 0, 0], [0, 1, 0]]
    kernel = parse({"identity": 3}).draw((3, 3, 2, 2), "a", 0)
    assert kernel[1, 1].tolist() == [[3, 0], [0, 3]]
    assert np.count_nonzero(kernel) == 2


def test_another_variable_changes_no_draw():
    spec = ParamSpec((4, 4), Normal())
    alone = initial_values({"net/b/weights": spec}, 7)
    among = initial_values({"net/a/weights": spec, "net/b/weights": spec, "net/c/weights": spec}, 7)
    assert np.array_equal(alone["net/b/weights"], among["net/b/weights"])
    assert np.array_equal(alone["net/b/weights"], Normal().draw((4, 4), "net/b/weights", 7))
    assert not np.array_equal(among["net/a/weights"], among["net/b/weights"])
    assert not np.array_equal(alone["net/b/weights"], initial_values({"net/b/weights": spec}, 8)["net/b/weights"])


def test_a_longer_variable_starts_like_a_shorter_one():
    assert np.array_equal(Normal().draw((70_000,), "a", 0)[:100], Normal().draw((100,), "a", 0))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("xaver", "there is no initializer 'xaver' (did you mean 'xavier'?)"),
        ({"truncated_normal": {"std": 1}}, "truncated_normal has no argument 'std' (did you mean 'stddev'?)"),
        ({"normal": {"stddev": -1}}, "normal: stddev expects a number of at least 0 and of at most 1e+30, got -1"),
        ({"normal": float("nan")}, "normal: stddev expects a number of at least 0 and of at most 1e+30, got nan"),
        ({"uniform": [1, 2, 3]}, "uniform takes low, high as positional arguments, got [1, 2, 3]"),
        ({"zeros": 1}, "zeros takes none as positional arguments, got 1"),
        ({"constant": [[1], [2, 3]]}, "constant: value: nested lists of different lengths"),
        ({"constant": "1"}, "constant: value: expects a number that float32 holds, or nested lists of them, got '1'"),
        ({"constant": True}, "constant: value: expects a number that float32 holds"),
        ({"constant": 1e39}, "constant: value: expects a number that float32 holds"),
        ({"constant": [1e39]}, "constant: value: expects a number that float32 holds"),
        ({"orthogonal": 1e39}, "orthogonal: gain expects a number of at most 3.4e38, got 1e+39"),
        ({"xavier": {}, "he": {}}, "expects an initializer such as xavier or {constant: 0.1}"),
        (3, "expects an initializer such as xavier or {constant: 0.1}"),
    ],
)
def test_what_is_wrong_is_said(written, message):
    with pytest.raises(ValueError) as error:
        parse(written)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("written", "shape", "message"),
    [
        ({"constant": [1, 2, 3]}, (2, 2), r"constant of shape \[3\] does not fit a variable of \[2, 2\]"),
        ({"constant": [[1]]}, (1,), r"constant of shape \[1, 1\] does not fit a variable of \[1\]"),
        ("identity", (3,), r"identity needs a variable of two axes or more, got \[3\]"),
        ("orthogonal", (), r"orthogonal needs a variable of two axes or more, got \[\]"),
    ],
)
def test_a_shape_that_does_not_fit_is_a_rule_error(written, shape, message):
    with pytest.raises(RuleError, match=message):
        parse(written).draw(shape, "a", 0)


@pytest.mark.parametrize(
    "written", ["xavier", "zeros", {"constant": [[1.5, 2], [3, 4]]}, {"truncated_normal": {"stddev": 0.01, "mean": 2}}]
)
def test_dump_and_validate_is_the_identity(written):
    field = Field(start=written)
    assert Field.model_validate(field.model_dump()) == field
    assert Field.model_validate_json(field.model_dump_json()) == field
    assert hash(field.start) == hash(parse(written))


def test_the_schema_lists_every_kind():
    (start,) = Field.model_json_schema()["properties"].values()
    names, mapping = start["anyOf"]
    assert mapping["properties"].keys() == KINDS.keys()
    assert set(names["enum"]) == KINDS.keys() - {"constant"}  # which needs a value


DRAWN = ("xavier", "he", {"truncated_normal": 0.1}, {"normal": 1.0}, {"uniform": [-1, 1]}, {"variance_scaling": 1.0})


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_draw(threads, monkeypatch):
    """Also where a variable is drawn in parts: 1001 numbers are 16 of them here."""
    shapes = {f"net/{i}/weights": ((7, 11, 13), written) for i, written in enumerate(DRAWN)}
    shapes |= {"net/q/weights": ((20, 30), "orthogonal"), "net/b/biases": ((5,), "zeros")}
    variables = {name: ParamSpec(shape, parse(written)) for name, (shape, written) in shapes.items()}
    whole = {name: spec.initializer.draw(spec.shape, name, 3) for name, spec in variables.items()}
    monkeypatch.setattr("graphc.initializers.PART", 64)
    drawn = initial_values(variables, 3, threads)
    assert all(drawn[name].tobytes() == whole[name].tobytes() for name in variables)


def test_an_error_in_a_thread_is_raised_and_ends_the_others():
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        do_all([partial(work, number) for number in range(10_000)], 3)
    assert len(begun) < 10_000
    assert not [thread for thread in threading.enumerate() if thread.name == "graphc-draw"]
