"""`vestibule pictures`: results over the images that they were made from."""

from __future__ import annotations

from pathlib import Path

import click

from evaluation.reporting.pictures import render_cases
from evaluation.scoring.cases import edition_of_masks
from vestibule.commands.options import edition_option
from vestibule.editions import Edition


@click.command()
@click.argument("images", type=click.Path(path_type=Path))
@click.argument("predictions", type=click.Path(path_type=Path))
@click.argument("references", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@edition_option()
def pictures(images: Path, predictions: Path, references: Path, out: Path, edition: Edition | None) -> None:
    """Render for each case the T2 image of IMAGES with reference and prediction outlined, as PNG into OUT.

    Axial slices in the colours of the report, with the patient's sides at the edges and a scale bar. The slice is the
    one with most reference tumour; without one, with most predicted tumour, or most of any structure.
    """
    rules = edition_of_masks(references, edition)
    count = render_cases(images, predictions, references, out, rules)
    click.echo(f"{count} pictures in {out}")
