"""Pictures of results: the T2 slice with reference and result outlined, as Figure 3 of Sallé et al. 2021."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaluation.metrics import dice
from evaluation.scoring.cases import AlignedPair, join_cases, read_pair
from vestibule.editions import EDITIONS, Edition, get_edition, image_stem, target_case
from vestibule.errors import InputError
from vestibule.volume import read_volume

WINDOW = (1.0, 99.5)
"""Percentiles of the slice that become black and white."""


@click.command()
@click.argument("images", type=click.Path(path_type=Path))
@click.argument("predictions", type=click.Path(path_type=Path))
@click.argument("references", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--edition", type=click.Choice([str(year) for year in EDITIONS]), default="2022", show_default=True)
def pictures(images: Path, predictions: Path, references: Path, out: Path, edition: str) -> None:
    """Draw for each case the T2 image of IMAGES with reference (red) and result (green) outlined, as PNG into OUT.

    The slice is the one with most reference tumour, or most of any structure where there is no tumour.
    """
    count = draw_cases(images, predictions, references, out, get_edition(int(edition)))
    click.echo(f"{count} pictures in {out}")


def draw_cases(images_dir: Path, predictions_dir: Path, references_dir: Path, out_dir: Path, edition: Edition) -> int:
    """Draw every case of `references_dir` whose image is in `images_dir`. Returns how many were drawn.

    Raises InputError where no image belongs to a reference.
    """
    images = {target_case(path): path for path in sorted(Path(images_dir).iterdir()) if image_stem(path)}
    count = 0
    for pair in join_cases(predictions_dir, references_dir, edition).pairs:
        if pair.case not in images:
            continue
        volume = read_volume(images[pair.case])
        aligned = read_pair(pair)
        if volume.voxels.shape != aligned.reference.shape:
            raise InputError(
                f"{images[pair.case]}: has size {volume.voxels.shape} (z, y, x), its reference "
                f"{aligned.reference.shape}"
            )
        draw_case(out_dir / f"{pair.case}.png", pair.case, volume.voxels, aligned, edition)
        count += 1
    if not count:
        raise InputError(f"{images_dir}: no T2 image belongs to a reference in {references_dir}")
    return count


def draw_case(path: Path, case: str, image: np.ndarray, pair: AlignedPair, edition: Edition) -> None:
    """One PNG: the slice (Y, X) of `image` (Z, Y, X) with both outlines, whole and enlarged around the structures."""
    tumour = np.isin(pair.reference, edition.structures["vs"])
    shown = tumour if tumour.any() else (pair.reference > 0) | (pair.prediction > 0)
    index = int(shown.sum(axis=(1, 2)).argmax())
    low, high = np.percentile(image[index], WINDOW)
    figure = Figure(figsize=(9, 4.4), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2)
    result = dice(np.isin(pair.prediction, edition.structures["vs"]), tumour)
    figure.suptitle(f"{case}, slice {index}: VS Dice {result:.2f}; red reference, green result", fontsize=9)
    rows, columns = _around(shown[index])
    aspect = pair.geometry.spacing_zyx[1] / pair.geometry.spacing_zyx[2]
    for axis, box in zip(axes, ((slice(None), slice(None)), (rows, columns)), strict=True):
        axis.imshow(image[index][box], cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect)
        for labels, colour in ((pair.reference, "red"), (pair.prediction, "lime")):
            for values in edition.structures.values():
                mask = np.isin(labels[index][box], values)
                if mask.any():
                    axis.contour(mask, levels=[0.5], colors=colour, linewidths=1.0)
        axis.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _around(mask: np.ndarray) -> tuple[slice, slice]:
    # A third of the image around the structures, or the whole of it where there is none.
    if not mask.any():
        return slice(None), slice(None)
    box = []
    for axis, size in enumerate(mask.shape):
        middle = int(np.flatnonzero(mask.any(axis=1 - axis)).mean())
        start = min(max(0, middle - size // 6), size - size // 3)
        box.append(slice(start, start + size // 3))
    return tuple(box)
