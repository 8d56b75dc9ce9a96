"""`graphc new`, as a function."""

from __future__ import annotations

import os
from pathlib import Path

from graphc.documented import flow
from graphc.errors import MachineError, SpecError
from graphc.files import atomic_write, shown
from graphc.spec.model import read_spec
from graphc.spec.starter import starter
from graphc.spec.zoo import zoo_names
from graphc.train.fine_tune import Pretrained, fine_tuning, image_taken
from graphc.train.starter import Starting, nameable, recipe_text, starting, variables


def new(path: str, recipe: str | None, data: str | None, force: bool, start: Pretrained | None = None) -> list[str]:
    """Write a spec, and with `recipe` or `data` a recipe that trains it; what there is to say.

    A spec that is there already, or is the zoo's, stays where a recipe is asked for; with `start` the recipe goes on
    from these weights.
    """
    if start is not None and data is None:
        raise SpecError("G616", "--weights expects --data FOLDER with the images to learn from")
    if recipe is None and data is not None:
        recipe = str(Path(path).parent / "recipe.yaml")
    if recipe is not None and Path(recipe).resolve() == Path(path).resolve():
        raise SpecError("G616", f"--recipe expects another file than the spec's, found {shown(recipe)} for both")
    of_zoo = path in zoo_names() and not Path(path).exists()
    if of_zoo and recipe is None:
        raise SpecError("G616", f"expected a file such as {path}.yaml, found {path}, which the zoo has")
    kept = of_zoo or (Path(path).exists() and not force)
    for file in (path,) if recipe is None else (recipe,):
        if Path(file).exists() and not force:
            raise MachineError("G502", f"{shown(file)} exists; --force overwrites it")
    if recipe is None:
        atomic_write(path, starter().encode())
        return [f"wrote {shown(path)}: next, graphc show {shown(path)}"]
    if start is not None and data is not None:
        atomic_write(recipe, fine_tuning(path, start, Path(data), Path(recipe)).encode())
        return [f"wrote {shown(recipe)}: next, graphc train {shown(recipe)} -o runs/net"]
    base = Path(recipe).parent
    found = starting(Path(data) if data is not None else None, base, image_taken(path) if kept else None)
    model = _model(path, base, found, kept)
    named = shown(path)
    said = [f"{named} is there already and stays as it is"] if kept else [f"wrote {named}: next, graphc show {named}"]
    if not kept:
        atomic_write(path, starter(**variables(found)).encode())
    atomic_write(recipe, recipe_text(found, Path(recipe).name, model).encode())
    files = "" if data is not None else ", with MNIST's four files beside it"
    return [*said, f"wrote {shown(recipe)}: next{files}, graphc train {shown(recipe)}"]


def _model(path: str, base: Path, start: Starting, kept: bool) -> str:
    """What stands for the spec in the recipe: its path, and its variables where they are not as the data need them."""
    name = nameable(path if not Path(path).exists() and kept else Path(os.path.relpath(path, base)).as_posix())
    known = read_spec(path).vars if kept else {}
    other = {key: value for key, value in variables(start).items() if known.get(key, value) != value}
    if not other:
        return flow(name)
    return flow({"spec": name, "set": other})
