"""The house keeps its order: imports point down, heavy packages stay in their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from graphc.layers import CATALOGUE

ROOT = Path(__file__).parent.parent / "graphc"

ORDER = [
    {"peers", "patterns", "name_rules"},
    {"lazy", "errors", "garbage", "documented", "expected", "system", "console", "valid_json", "written"},
    {"files", "locks", "dims", "regularizers", "settings", "plugins"},
    {"window"},
    {"receptive_field", "quantiles", "draws"},
    {"initializers"},
    {"types"},
    {"variables", "onnx_builder"},
    {"training_graph"},
    {"workspace"},
    {"parallel"},
    {"kernels"},
    {"layers"},
    {"spec", "graph"},
    {"passes"},
    {"execution"},
    {"providers"},
    {"emit", "runtime"},
    {"weights"},
    {"compiler", "verify", "outputs", "probabilities"},
    {"norm_statistics", "importers"},
    {"data"},
    {"signature"},
    {"published"},
    {"conversion"},
    {"train"},
    {"inference", "bench"},
    {"sweep"},
    {"quantization"},
    {"classify", "report", "web"},
    {"snippet", "completion"},
    {"lsp", "api", "testing"},
    {"cli"},
    {"program"},
    {"__main__"},
]
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}

HOMES = {
    "onnx": ("emit/", "importers/"),
    "onnxruntime": ("runtime.py",),
    "yaml": ("spec/",),
    "click": ("cli/",),
}

FUNCTION_LINES, FILE_LINES = 60, 400

MODULES = sorted(
    path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if "zoo" not in path.relative_to(ROOT).parts
)


@cache
def tree_of(path: Path) -> ast.Module:
    """A file's syntax, parsed once."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, *, top_level: bool) -> Iterator[str]:
    """Modules imported; with `top_level` only those at the module's own level, outside TYPE_CHECKING."""
    tree = tree_of(path)
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


def imports_that_run(nodes: Sequence[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import but those that only type checkers see, in functions too."""
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from imports_that_run(node.orelse)
        else:
            for name in ("body", "orelse", "finalbody", "handlers", "cases"):
                yield from imports_that_run(getattr(node, name, []))


def module_of(name: str) -> str | None:
    """The file of a dotted name, where that is a module of the package."""
    if not name.startswith("graphc."):
        return None
    path = name.removeprefix("graphc.").replace(".", "/")
    return next((file for file in (f"{path}.py", f"{path}/__init__.py") if file in MODULES), None)


def modules_imported(module: str) -> set[str]:
    """The modules of the package that this one imports, at its own level or within a function."""
    tree = tree_of(ROOT / module)
    files: set[str | None] = set()
    for node in imports_that_run(tree.body):
        if isinstance(node, ast.Import):
            files |= {module_of(alias.name) for alias in node.names}
        elif node.module:
            files |= {module_of(f"{node.module}.{alias.name}") or module_of(node.module) for alias in node.names}
    return {file for file in files if file is not None}


def test_no_module_imports_itself_in_the_end() -> None:
    waiting = {module: modules_imported(module) for module in MODULES}
    assert sum(map(len, waiting.values())) > len(MODULES), "imports are seen"
    while free := {module for module, needs in waiting.items() if not needs}:
        waiting = {module: needs - free for module, needs in waiting.items() if module not in free}
    assert not waiting, f"these import each other in a circle: {', '.join(sorted(waiting))}"


@pytest.mark.parametrize("module", MODULES)
def test_imports_within_functions_point_down(module: str) -> None:
    here = module.removesuffix(".py").split("/")[0]
    for imported in modules_imported(module):
        part = imported.removesuffix(".py").split("/")[0]
        if part in RANK and here in RANK:
            assert RANK[part] <= RANK[here], f"{module} imports {imported}, which stands above it"


READ = sorted(
    path.relative_to(ROOT.parent).as_posix()
    for folder in ("graphc", "tests", "benchmarks", "examples")
    for path in (ROOT.parent / folder).rglob("*.py")
)


@pytest.mark.parametrize("module", READ)
def test_functions_and_files_can_be_read_at_once(module: str) -> None:
    text = (ROOT.parent / module).read_text(encoding="utf-8")
    lines = len(text.splitlines())
    assert lines <= FILE_LINES, f"{module} has {lines} lines, the limit is {FILE_LINES}: which second idea moved in?"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{module}: {node.name} has {lines} lines, the limit is {FUNCTION_LINES}"


@pytest.mark.parametrize("module", MODULES)
def test_heavy_packages_stay_home(module: str) -> None:
    for imported in imports(ROOT / module, top_level=True):
        homes = HOMES.get(imported.split(".")[0])
        if homes is not None:
            assert module.startswith(homes), f"{module} imports {imported}; only {', '.join(homes)} may"


KINDS = {layer.__name__: layer.__module__ for layer in CATALOGUE.values()}


def classes_asked(node: ast.AST) -> set[str]:
    """The classes of isinstance(x, …), issubclass(x, …), type(x) is … and `case …():`."""
    asked: list[ast.AST] = []
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
        asked = [node.args[1]]
    elif isinstance(node, ast.Compare) and ast.unparse(node.left).startswith("type("):
        asked = list(node.comparators)
    elif isinstance(node, ast.MatchClass):
        asked = [node.cls]
    parts = [part for each in asked for part in ast.walk(each)]
    return {part.id for part in parts if isinstance(part, ast.Name)} | {
        part.attr for part in parts if isinstance(part, ast.Attribute)
    }


@pytest.mark.parametrize(
    "line",
    [
        "isinstance(x, Conv2d)",
        "isinstance(x, int | conv.Conv2d)",
        "type(x) is Conv2d",
        "type(x) in (Dropout, Conv2d)",
        "match x:\n  case Conv2d(): 1",
    ],
)
def test_questions_about_kinds_are_seen(line: str) -> None:
    assert "Conv2d" in set().union(*(classes_asked(node) for node in ast.walk(ast.parse(line))))


@pytest.mark.parametrize("module", [module for module in MODULES if module != "execution/fusion.py"])
def test_nobody_asks_of_what_kind_a_layer_is(module: str) -> None:
    """Layers have rules, protocols and flags for what others want to know of them. Patterns of kinds stand in one
    table, that of fusions."""
    here = "graphc." + module.removesuffix(".py").replace("/", ".")
    for node in ast.walk(tree_of(ROOT / module)):
        others = {name for name in classes_asked(node) & KINDS.keys() if KINDS[name] != here}
        assert not others, f"{module}:{getattr(node, 'lineno', 0)} asks whether something is a {', '.join(others)}"
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr == "kind":
            texts = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
            assert not texts & CATALOGUE.keys(), f"{module}:{node.lineno} compares a kind with {texts}"


@pytest.mark.parametrize("module", MODULES)
def test_the_package_never_imports_its_front_door(module: str) -> None:
    tree = tree_of(ROOT / module)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "graphc":
            names = {alias.name for alias in node.names}
            assert names <= {"__version__", *RANK}, f"{module} imports {names} from graphc"


@pytest.mark.parametrize("module", MODULES)
def test_private_names_stay_in_their_file(module: str) -> None:
    tree = tree_of(ROOT / module)
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
        for node in ast.walk(tree_of(ROOT / module)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, f"{module}:{node.lineno}"


def loaded_by(*arguments: str) -> set[str]:
    """Top-level packages that a command imports."""
    code = (
        "import sys; sys.argv = ['graphc', *sys.argv[1:]]\n"
        "from graphc.cli import run_command\nrun_command()\n"
        "print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(result.stdout.rpartition("LOADED")[2].split())


def test_help_loads_nothing_heavy() -> None:
    assert not loaded_by("--help") & {"numpy", "pydantic", "onnx", "onnxruntime", "yaml", "rich"}


def test_checking_a_spec_loads_neither_numpy_nor_onnx() -> None:
    assert not loaded_by("check", "lenet5") & {"numpy", "onnx", "onnxruntime"}
