"""Kinds and sources of other packages: found by their entry points, never by a file's word; broken ones are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graphc import plugins
from graphc.compiler import plan_model, plan_spec
from graphc.errors import GraphcError, MachineError, SpecError
from graphc.layers import CATALOGUE
from graphc.spec.model import read_spec_text
from tests.pages.installed import install

EXAMPLE = Path(__file__).parent.parent / "examples" / "plugin"
SPEC = "graphc: 1\ninputs: {x: [N, 4]}\nlayers:\n  - KIND\n"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder of packages that Python looks through."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv(plugins.SWITCH, raising=False)
    forget()
    yield tmp_path
    forget()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("graphc_snake", "broken")]:
        del sys.modules[name]


def forget() -> None:
    plugins.offers.cache_clear()


def declare(folder: Path, package: str, group: str, line: str) -> None:
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{line}\n")


def planned(kind: str):
    return plan_model(read_spec_text(SPEC.replace("KIND", kind), "net.yaml"))


def test_a_kind_of_a_package_is_one(packages: Path) -> None:
    install(EXAMPLE, packages)
    forget()
    assert [each.node.layer.kind for each in planned("snake").nodes] == ["snake"]
    assert [each.node.layer.kind for each in planned("fully_connected: {units: 2, activation: snake}").nodes][
        1
    ] == "snake"
    assert "snake" in list(CATALOGUE)
    with pytest.raises(SpecError, match="did you mean 'snake'"):
        planned("snakes")
    with pytest.raises(SpecError, match="snake has no argument 'beta'"):
        planned("snake: {beta: 1}")


def test_a_block_of_the_spec_wins(packages: Path) -> None:
    install(EXAMPLE, packages)
    forget()
    text = SPEC.replace("KIND", "snake") + "blocks:\n  snake: {layers: [relu]}\n"
    assert [each.node.layer.kind for each in plan_model(read_spec_text(text, "net.yaml")).nodes] == ["relu"]


def test_the_switch_leaves_them_out(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(EXAMPLE, packages)
    monkeypatch.setenv(plugins.SWITCH, "none")
    forget()
    with pytest.raises(SpecError, match="no layer kind or block is named 'snake'"):
        planned("snake")


@pytest.mark.parametrize(
    ("module", "point", "told"),
    [
        ("", "broken:Missing", "AttributeError"),
        ("import nothing_of_this_name", "broken:Kind", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("1/0", "broken:Kind", "ZeroDivisionError"),
        ("Kind = 1", "broken:Kind", "expected a class of graphc.layers.base.Layer, found 1"),
        ("from graphc.layers.relu import nothing", "broken:Kind", "ModuleNotFoundError"),
        (
            "from graphc.layers.softmax import Softmax as Kind",
            "broken:Kind",
            "expected the name of its `kind`, 'softmax'",
        ),
        (
            "from graphc.layers.softmax import Softmax\nclass Kind(Softmax):\n  kind = 'odd'\n  family = 'oddities'",
            "broken:Kind",
            "expected a family of convolution",
        ),
    ],
)
def test_a_broken_package_is_named(packages: Path, module: str, point: str, told: str) -> None:
    (packages / "broken.py").write_text(module)
    declare(packages, "odd-kinds", plugins.LAYERS, f"odd = {point}")
    forget()
    with pytest.raises(MachineError) as found:
        planned("odd")
    assert found.value.code == "G530"
    assert str(found.value).startswith("net.yaml:4:5: error[G530]: odd-kinds 1.0: layer kind odd: ")
    assert told in str(found.value)
    assert planned("relu").nodes, "who does not use it is not concerned"
    assert "odd" in CATALOGUE
    assert "odd" not in list(CATALOGUE), "what lists all kinds leaves it out"


def test_two_packages_with_one_word(packages: Path) -> None:
    declare(packages, "one", plugins.LAYERS, "odd = broken:Kind")
    declare(packages, "other", plugins.LAYERS, "odd = broken:Other")
    forget()
    with pytest.raises(MachineError, match=r"one 1\.0 and other 1.0: layer kind odd: two packages declare it"):
        planned("odd")


def test_graphc_s_own_words_stay(packages: Path) -> None:
    declare(packages, "thief", plugins.LAYERS, "relu = broken:Kind")
    forget()
    assert planned("relu").nodes


def test_a_file_names_no_module(packages: Path) -> None:
    (packages / "broken.py").write_text("raise SystemExit('loaded')")
    for kind in ("broken", "'broken:Kind'", "broken.Kind", "os.system"):
        with pytest.raises(GraphcError, match="no layer kind or block"):
            planned(kind)


def checked(packages: Path, recipe: Path) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(packages)!r}); from graphc.train.recipe import read_recipe; "
    code += f"print(read_recipe({str(recipe)!r}).data.train.kind)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_sources_of_packages(packages: Path) -> None:
    install(EXAMPLE, packages)
    assert checked(packages, EXAMPLE / "recipe.yaml").stdout == "boards\n"
    (packages / "graphc_snake" / "boards.py").write_text("import nothing_of_this_name")
    told = checked(packages, EXAMPLE / "recipe.yaml").stderr
    assert "graphc-snake 0.1.0: source boards: graphc_snake.boards:Boards cannot be loaded" in told
    other = packages / "other.yaml"
    other.write_text((EXAMPLE / "recipe.yaml").read_text().replace("boards: {count", "shapes: {count"))
    assert checked(packages, other).stdout == "shapes\n", "who does not use it is not concerned"


def test_who_uses_no_package_looks_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks, repeats, activations by name, scopes: no word of these is looked for among packages."""
    asked: list[str] = []
    monkeypatch.setattr(plugins, "offers", lambda group: asked.append(group) or {})
    for name in ("resnet18", "mobilenet_v2", "hourglass"):
        assert plan_spec(name).nodes
    assert asked == []
