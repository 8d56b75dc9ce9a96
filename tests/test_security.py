"""What SECURITY.md promises of the code: nothing is unpickled, evaluated, imported by a file's word, or sent."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.test_layering import MODULES, ROOT, imports

UNSAFE = {"pickle", "marshal", "shelve", "dill", "joblib", "runpy", "code", "ctypes", "cffi", "subprocess", "pty"}
NETWORK = {"socket", "ssl", "http", "urllib", "ftplib", "smtplib", "requests", "xmlrpc", "socketserver", "asyncio"}
MAY = {
    "report/dashboard.py": {"socket", "http"},
    "data/libtiff.py": {"ctypes"},  # to be called by the libtiff of the installed Pillow
    "locks.py": {"socket"},  # this machine's name
    "lsp/convert.py": {"urllib"},  # urllib.parse: addresses of files
    "lsp/server.py": {"asyncio"},  # its own input and output: no port
    "report/live.py": {"urllib"},  # urllib.parse: addresses of lines
}
CALLS = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}


def found_calls(text: str) -> set[str]:
    """Names of functions that are called by their bare name, and keywords that let arrays hold objects."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    keywords = [each for call in calls for each in call.keywords if each.arg == "allow_pickle"]
    pickled = {"allow_pickle" for each in keywords if getattr(each.value, "value", True) is not False}
    attributes = {ast.unparse(call.func) for call in calls if isinstance(call.func, ast.Attribute)}
    loads = {"np.load"} if "np.load" in attributes and not keywords else set()
    return (names & CALLS) | pickled | loads | (attributes & {"os.system", "os.popen", "yaml.load", "yaml.unsafe_load"})


@pytest.mark.parametrize("module", MODULES)
def test_no_code_from_files_and_no_network(module: str) -> None:
    loaded = {name.partition(".")[0] for name in imports(ROOT / module, top_level=False)}
    assert loaded & (UNSAFE | NETWORK) <= MAY.get(module, set())
    assert not found_calls((ROOT / module).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "eval(x)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(p, allow_pickle=flag)",
        "os.system('ls')",
    ],
)
def test_it_would_be_seen(text: str) -> None:
    assert found_calls(text)


def test_tests_that_are_named_are_there() -> None:
    text = (ROOT.parent / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w./]+|test_\w+\.py)`", text)
    assert len(named) > 5
    for name in named:
        path = Path(name) if name.startswith("tests/") else Path("tests/train") / name
        assert (ROOT.parent / path).exists(), name
