"""Public functions of arrays say what arrays: their shapes, and which of them are written over."""

from __future__ import annotations

import ast
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).parent.parent / "graphc"
PACKAGES = ("data", "emit", "execution", "kernels", "layers", "parallel", "report", "train", "weights")
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

SIZE = r"(?:[A-Za-z]\w*'?|\d+|…|\.\.\.)(?:[*/][\w]+)?"
SHAPE = re.compile(rf"\[(?:{SIZE}(?:, {SIZE})*)?\]|\b(?:any|one|same|this|own|\w+'s) shapes?\b")
"""[N, H, W, C], [C], [...] or, of a scalar, []; or the shape of something named, or any."""
OVERWRITTEN = re.compile(r"\b(?:overwritten|overwrite|in place|written into|used up|into)\b", re.IGNORECASE)
"""What is said where the function writes in an array that it is given."""


def classes() -> dict[str, list[ast.ClassDef]]:
    """The package's classes by name; two files may each have one of a name."""
    found: dict[str, list[ast.ClassDef]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(node)
    return found


CLASSES = classes()
PROTOCOLS = [node for nodes in CLASSES.values() for node in nodes if "Protocol" in map(ast.unparse, node.bases)]


def public(
    nodes: list[ast.stmt], owner: ast.ClassDef | None = None
) -> Iterator[tuple[ast.ClassDef | None, ast.FunctionDef]]:
    """(class or None, function) of a module's public functions and public classes' public methods."""
    for node in nodes:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node.body, node)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield owner, node


def names_array(annotation: ast.expr | None) -> bool:
    return annotation is not None and any(
        isinstance(part, ast.Name) and part.id in ("Array", "Params") for part in ast.walk(annotation)
    )


def arrays(function: ast.FunctionDef) -> set[str]:
    """The parameters that are arrays, and "return"."""
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    named = {each.arg for each in given if names_array(each.annotation)}
    return named | ({"return"} if names_array(function.returns) else set())


def documentation(owner: ast.ClassDef | None, function: ast.FunctionDef) -> str:
    """The docstring, with those of the methods that it implements: of base classes, and of protocols by their name."""
    texts = [ast.get_docstring(function) or ""]
    if owner is not None:
        texts += [
            ast.get_docstring(node) or ""
            for each in (*ancestors(owner), *PROTOCOLS)
            for node in each.body
            if isinstance(node, ast.FunctionDef) and node.name == function.name
        ]
    return "\n".join(texts)


def ancestors(owner: ast.ClassDef) -> Iterator[ast.ClassDef]:
    for base in owner.bases:
        for found in CLASSES.get(ast.unparse(base).partition("[")[0].rpartition(".")[2], []):
            if found is not owner:
                yield found
                yield from ancestors(found)


def overwritten(function: ast.FunctionDef) -> set[str]:
    """The array parameters that the function writes in: x[...] = …, x += …, f(…, out=x), np.copyto(x, …); and `out`."""
    written = {"out"}
    bound: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                bound |= {part.id for part in ast.walk(target) if is_stored(part)}
                if isinstance(target, ast.Subscript):
                    written |= root(target)
        elif isinstance(node, ast.AugAssign):
            written |= root(node.target)
        elif isinstance(node, ast.Call):
            written |= {name for each in node.keywords if each.arg == "out" for name in root(each.value)}
            if ast.unparse(node.func) == "np.copyto":
                written |= root(node.args[0])
    return (written - bound) & arrays(function)


def is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def root(node: ast.expr) -> set[str]:
    while isinstance(node, ast.Subscript):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


@pytest.mark.parametrize("module", MODULES)
def test_functions_of_arrays_say_their_shapes_and_what_they_overwrite(module: str) -> None:
    for owner, function in public(ast.parse((ROOT / module).read_text(encoding="utf-8")).body):
        text, where = documentation(owner, function), f"{module}:{function.lineno}: {function.name}"
        if arrays(function):
            assert SHAPE.search(text), (
                f"{where}: expected a shape in the docstring, such as [N, H, W, C]; found {text!r}"
            )
        for name in overwritten(function):
            said = OVERWRITTEN.search(text) and re.search(rf"\b{name}\b", text)
            assert said, f"{where} writes in {name}: expected the docstring to say so; found {text!r}"


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_say_which_dtypes_their_arrays_have(package: str) -> None:
    text = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert "dtype" in text, (
        f"graphc/{package}: expected the package's docstring to say which dtypes are taken and given"
    )


NAME = re.compile(r"`(graphc\.[\w.]*\w)`")


def documented_names() -> Iterator[tuple[str, str]]:
    """(file, `graphc.some.name`) of all docstrings."""
    for path in sorted(ROOT.rglob("*.py")):
        for found in NAME.finditer(path.read_text(encoding="utf-8")):
            yield path.relative_to(ROOT).as_posix(), found[1]


@pytest.mark.parametrize(("module", "name"), sorted(set(documented_names())))
def test_names_in_docstrings_are_there(module: str, name: str) -> None:
    assert resolves(name), f"{module} names `{name}`, which is not there"


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    try:
        return pkgutil.resolve_name(name) is not None
    except (ImportError, AttributeError):
        return False


def test_names_that_are_not_there_are_seen() -> None:
    assert len(list(documented_names())) > 10
    assert not resolves("graphc.train.heads")
    assert not resolves("graphc.types.Nothing")


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("x[1:] = 0", {"x"}),
        ("x[0][1] += y", {"x"}),
        ("x *= 2", {"x"}),
        ("np.add(x, y, out=y)", {"y"}),
        ("np.copyto(y[1:], x)", {"y"}),
        ("x = x + 1\n    x += y", set()),
        ("z = x[y]", set()),
    ],
)
def test_what_is_overwritten_is_seen(body: str, names: set[str]) -> None:
    (function,) = ast.parse(f"def f(x: Array, y: Array) -> None:\n    {body}").body
    assert isinstance(function, ast.FunctionDef)
    assert overwritten(function) == names


@pytest.mark.parametrize("text", ["[N, H, W, C] of x", "sums [C]", "x's shape", "any shape", "[..., 4]", "[] or [C]"])
def test_shapes_are_seen(text: str) -> None:
    assert SHAPE.search(text)


@pytest.mark.parametrize("text", ["", "the images", "shape", "N and C", "an array", "[a list] of words"])
def test_what_is_no_shape_is_seen(text: str) -> None:
    assert not SHAPE.search(text)
