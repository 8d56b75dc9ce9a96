"""Commands that look at a recipe's data before training."""

from __future__ import annotations

import click

from graphc.cli.options import data_memory_option, format_option, limits, out, recipe_set_option, say
from graphc.files import keep_inputs, shown


@click.group()
def data() -> None:
    """Look at a recipe's data before training.

    \b
      graphc data stats recipe.yaml
    """


@data.command(name="stats")
@click.argument("recipe")
@recipe_set_option
@data_memory_option
@format_option
@click.option("-o", "--output", metavar="PNG", help="Also a chart of classes and values.")
def data_stats(recipe: str, settings: tuple[str, ...], max_memory: float | None, form: str, output: str | None) -> None:
    """Count examples, classes, sizes, values, correlations, duplicates, bad files.

    \b
      graphc data stats recipe.yaml
      graphc data stats recipe.yaml --format json -o chart.png
    """
    from graphc.report.look import stats

    keep_inputs((output,), (recipe,))
    out(stats(recipe, settings, form, output, limits(None, max_memory).memory))


@data.command(name="preview")
@click.argument("recipe")
@recipe_set_option
@data_memory_option
@click.option("-o", "--output", metavar="PNG", default="preview.png", show_default=True, help="The picture.")
@click.option("--count", type=click.IntRange(1, 200), default=8, show_default=True, help="Examples.")
@click.option("--columns", type=click.IntRange(1, 50), default=5, show_default=True, help="Augmented forms of each.")
@click.option("--epoch", type=click.IntRange(0, 1_000_000_000), default=0, show_default=True, help="Of the first form.")
def data_preview(recipe: str, settings: tuple[str, ...], max_memory: float | None, output: str, **options: int) -> None:
    """Draw examples beside what augmentation makes of them, annotations drawn in.

    \b
      graphc data preview examples/boxes/recipe.yaml -o boxes.png
    """
    from graphc.report.look import preview

    keep_inputs((output,), (recipe,))
    words = preview(recipe, settings, output, **options, limit=limits(None, max_memory).memory)
    say(f"wrote {shown(output)}: {words}")
