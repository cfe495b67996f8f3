"""`vestibule phantom`: make a synthetic population."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from training.commands.triple import Triple
from vestibule.commands.options import EditionType, claim
from vestibule.editions import Edition
from vestibule.logs import say
from vestibule.progress import progress_bar

SHAPE = Triple(int, "Z,Y,X", example="28,128,128")
SPACING = Triple(float, "Z,Y,X", example="1.5,1.2,1.2")


@click.command()
@click.argument("out_dir", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--cases", default=12, show_default=True, help="Source patients, and as many target patients.")
@click.option("--validation", type=int, help="Unseen target patients.  [default: half of --cases, at least 4]")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same files.")
@click.option("--edition", default="2021", show_default=True, type=EditionType(), help="The challenge's year.")
@click.option("--shape", "shape_zyx", type=SHAPE, help="Voxels of every image.  [default: the site's]")
@click.option("--spacing", "spacing_zyx", type=SPACING, help="Voxel spacing in mm.  [default: the site's]")
@click.option("--site", "sites", multiple=True, help="Make cases of this site only; may be repeated.")
@click.option("--prevalence", default=0.9, show_default=True, help="Share of patients with a tumour.")
@click.option("--workers", default=1, show_default=True, help="Processes that render cases.")
def phantom(out_dir: Path, sites: tuple[str, ...], edition: Edition, **options: Any) -> None:
    """Make a synthetic two-domain data set in OUT, in the challenge's own folders and names.

    Labelled contrast-enhanced T1 of some patients, unlabelled T2 of others; the labels of the T2 images lie in
    OUT/references. Nobody's data: every patient is made from published anatomy and physics.
    """
    # SciPy takes a while to import, which `--help` need not wait for.
    from training.phantom.config import PhantomConfig
    from training.phantom.population import make_population

    try:
        config = PhantomConfig(edition=edition.year, sites=sites or None, **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    claim(out_dir)
    with progress_bar("patients") as advance:
        make_population(out_dir, config, advance)
    count = 2 * config.cases + config.validation_cases
    say(f"{count} patients in {out_dir} (population.csv lists them, preview.png shows some)")
