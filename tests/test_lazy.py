"""NumPy and others that are loaded at their first use, whoever comes first."""

from __future__ import annotations

import subprocess
import sys

import pytest

from graphc.lazy import LazyModule, lazy_import

THREADS = """
import sys, threading
from graphc.lazy import np

assert not {"numpy.core", "numpy._core"} & sys.modules.keys()
sys.setswitchinterval(1e-6)
barrier, errors = threading.Barrier(8), []

def use(number):
    barrier.wait()
    try:
        if number % 2:
            import numpy
        else:
            numpy = np
        assert numpy.arange(5).sum() == 10 and numpy.random.default_rng(0).random() < 1
    except BaseException as error:
        errors.append(f"{type(error).__name__}: {error}")

threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*errors, sep="\\n")
"""


@pytest.mark.parametrize("attempt", range(2))
def test_threads_that_use_numpy_first_all_find_it_whole(attempt):
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_module_is_imported_when_it_is_used(monkeypatch):
    monkeypatch.delitem(sys.modules, "this_is_lazy", raising=False)
    stands_for = lazy_import("this_is_lazy")
    assert isinstance(stands_for, LazyModule)
    with pytest.raises(ModuleNotFoundError, match="this_is_lazy"):
        stands_for.something  # noqa: B018
    assert lazy_import("sys") is sys
