"""What `graphc resume` may change about a run: how many epochs it has, and where its data lie."""

from __future__ import annotations

from pathlib import Path

from graphc.errors import DataError, Place, SpecError, counted
from graphc.files import shown
from graphc.train.progress import Reporter
from graphc.train.recipe import Recipe


def with_epochs(recipe: Recipe, epochs: int, done: int, reporter: Reporter) -> Recipe:
    """The recipe with so many epochs in all, of which some are done; what that does to the learning rate is said."""
    if recipe.epochs is None:
        found = f"this run's recipe counts steps ({recipe.steps:,})"
        raise SpecError("G615", f"--epochs expects a recipe with `epochs`, {found}")
    if epochs <= done:
        raise SpecError(
            "G615", f"--epochs expects more than the {counted(done, 'epoch')} that are done, found {epochs}"
        )
    if recipe.schedule.depends_on_end and epochs != recipe.epochs:
        reporter.warn(
            f"learning rate: {recipe.schedule.kind} goes on as if there had been {epochs:,} epochs from the beginning, "
            f"not {recipe.epochs:,}"
        )
    return recipe.model_copy(update={"epochs": epochs})


def existing_folder(path: Path | str) -> Path:
    """The folder, or an error where there is none."""
    folder = Path(path)
    if not folder.is_dir():
        raise DataError("G409", "--data expects the folder that the recipe's paths start at", Place(shown(folder)))
    return folder
