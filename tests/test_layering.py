"""The house keeps its order: imports point down, heavy packages stay in their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphc.layers import CATALOGUE

ROOT = Path(__file__).parent.parent / "graphc"

ORDER = [
    {"peers", "patterns"},
    {"lazy", "errors", "documented", "expected", "system", "console", "valid_json"},
    {"files", "locks", "dims", "regularizers", "settings"},
    {"window"},
    {"receptive_field", "quantiles", "draws"},
    {"initializers"},
    {"types"},
    {"workspace"},
    {"parallel"},
    {"kernels"},
    {"layers"},
    {"spec", "graph"},
    {"passes"},
    {"npz", "safetensors_file", "floats"},
    {"weights"},
    {"execution"},
    {"emit", "runtime"},
    {"compiler", "verify", "outputs", "probabilities"},
    {"data"},
    {"signature"},
    {"train"},
    {"inference", "report"},
    {"completion"},
    {"cli"},
    {"__main__"},
]
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}

HOMES = {
    "onnx": ("emit/",),
    "onnxruntime": ("runtime.py",),
    "yaml": ("spec/",),
    "click": ("cli/",),
}

MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if "zoo" not in path.parts)


def imports(path: Path, *, top_level: bool) -> Iterator[str]:
    """Modules imported; with `top_level` only those at the module's own level, outside TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "graphc")


def part_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "graphc" and len(parts) > 1 and parts[1] in RANK else None


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    here = module.removesuffix(".py").split("/")[0]
    if here == "__init__":
        return
    assert here in RANK, f"{module}: give its part a place in ORDER"
    for imported in imports(ROOT / module, top_level=True):
        part = part_of(imported)
        if part is not None and part != here:
            assert RANK[part] <= RANK[here], f"{module} imports {imported}, which stands above it"


@pytest.mark.parametrize("module", MODULES)
def test_heavy_packages_stay_home(module: str) -> None:
    for imported in imports(ROOT / module, top_level=True):
        homes = HOMES.get(imported.split(".")[0])
        if homes is not None:
            assert module.startswith(homes), f"{module} imports {imported}; only {', '.join(homes)} may"


KINDS = {layer.__name__: layer.__module__ for layer in CATALOGUE.values()}


@pytest.mark.parametrize("module", [module for module in MODULES if module != "execution/fusion.py"])
def test_nobody_asks_of_what_kind_a_layer_is(module: str) -> None:
    """Layers have rules, protocols and flags for what others want to know of them. Patterns of kinds stand in one
    table, that of fusions."""
    here = "graphc." + module.removesuffix(".py").replace("/", ".")
    for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            asked = {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
            others = {name for name in asked & KINDS.keys() if KINDS[name] != here}
            assert not others, f"{module}:{node.lineno} asks whether something is a {', '.join(others)}"
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr == "kind":
            texts = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
            assert not texts & CATALOGUE.keys(), f"{module}:{node.lineno} compares a kind with {texts}"


@pytest.mark.parametrize("module", MODULES)
def test_the_package_never_imports_its_front_door(module: str) -> None:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "graphc":
            names = {alias.name for alias in node.names}
            assert names <= {"__version__", *RANK}, f"{module} imports {names} from graphc"


@pytest.mark.parametrize("module", MODULES)
def test_private_names_stay_in_their_file(module: str) -> None:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    stored = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_own(node)}
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own = stored | named | {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node) and node.attr not in own:
            assert ast.unparse(node) == "os._exit", f"{module}:{node.lineno}: {ast.unparse(node)} is another file's"
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("graphc"):
            assert not [alias.name for alias in node.names if is_private(alias.name)], f"{module}:{node.lineno}"


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


@pytest.mark.parametrize("forbidden", ["pickle", "marshal", "shelve"])
def test_nothing_that_can_carry_code_is_imported(forbidden: str) -> None:
    for module in MODULES:
        assert forbidden not in set(imports(ROOT / module, top_level=False)), module


def test_no_eval_or_exec() -> None:
    for module in MODULES:
        for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, f"{module}:{node.lineno}"


def loaded_by(*arguments: str) -> set[str]:
    """Top-level packages that a command imports."""
    code = (
        "import sys; sys.argv = ['graphc', *sys.argv[1:]]\n"
        "from graphc.cli import run_command\nrun_command()\n"
        "loaded = {n.partition('.')[0] for n, m in sys.modules.items() if type(m).__name__ != '_LazyModule'}\n"
        "print('LOADED', *sorted(loaded))"
    )
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(result.stdout.rpartition("LOADED")[2].split())


def test_help_loads_nothing_heavy() -> None:
    assert not loaded_by("--help") & {"numpy", "pydantic", "onnx", "onnxruntime", "yaml", "rich"}


def test_checking_a_spec_loads_neither_numpy_nor_onnx() -> None:
    assert not loaded_by("check", "lenet5") & {"numpy", "onnx", "onnxruntime"}
