"""`vestibule phantom`: make a synthetic population."""

from __future__ import annotations

from pathlib import Path

import click


class Triple(click.ParamType):
    """Three numbers Z,Y,X."""

    name = "Z,Y,X"

    def __init__(self, number: type) -> None:
        self.number = number

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self.number(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != 3:
            self.fail(f"expected three numbers Z,Y,X like 28,128,128, got {value!r}", param, ctx)
        return numbers


@click.command()
@click.argument("out_dir", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--cases", default=12, show_default=True, help="Source patients, and as many target patients.")
@click.option("--validation", type=int, help="Unseen target patients.  [default: half of --cases, at least 4]")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same files.")
@click.option("--edition", default="2021", show_default=True, type=click.Choice(["2021", "2022", "2023"]))
@click.option("--shape", "shape_zyx", type=Triple(int), help="Voxels of every image.  [default: the site's]")
@click.option("--spacing", "spacing_zyx", type=Triple(float), help="Voxel spacing in mm.  [default: the site's]")
@click.option("--site", "sites", multiple=True, help="Draw cases from this site only; may be repeated.")
@click.option("--prevalence", default=0.9, show_default=True, help="Share of patients with a tumour.")
@click.option("--workers", default=1, show_default=True, help="Processes that draw cases.")
def phantom(out_dir: Path, sites: tuple[str, ...], edition: str, **options) -> None:
    """Make a synthetic two-domain data set in OUT, in the challenge's own folders and names.

    Labelled contrast-enhanced T1 of some patients, unlabelled T2 of others; the labels of the T2 images lie in
    OUT/references. Nobody's data: every patient is drawn from published anatomy and physics.
    """
    from training.phantom.config import PhantomConfig
    from training.phantom.population import make_population

    try:
        config = PhantomConfig(edition=int(edition), sites=sites or None, **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with _progress() as report:
        make_population(out_dir, config, report)
    count = 2 * config.cases + config.validation_cases
    click.echo(f"{count} patients in {out_dir} (population.csv lists them, preview.png shows some)")


def _progress():
    """A bar with the time left on stderr; nothing where there is no terminal."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar():
        console = Console(stderr=True)
        columns = (TextColumn("drawing patients"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    return bar()
