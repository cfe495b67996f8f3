"""Pictures of results: the T2 slice with reference and result outlined, as Figure 3 of Sallé et al. 2021."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaluation.metrics import MaskPair, primary
from evaluation.reporting.views import find_images, on_grid
from evaluation.scoring.cases import AlignedPair, join_cases, read_pair
from vestibule.editions import TUMOUR, Edition
from vestibule.errors import InputError
from vestibule.files import atomic

WINDOW = (1.0, 99.5)
"""Percentiles of the slice that become black and white."""
PART = 3
"""The enlarged picture shows one part in so many of the image's sides."""


def render_cases(images_dir: Path, predictions_dir: Path, references_dir: Path, out_dir: Path, edition: Edition) -> int:
    """Render every case that has a reference and an image, as `CASE.png`.

    Args:
        images_dir: Folder of T2 images.
        predictions_dir: Folder of predicted masks.
        references_dir: Folder of references.
        out_dir: Where the pictures go.
        edition: How files are called and what labels mean.

    Returns:
        How many cases were rendered.

    Raises:
        InputError: No image belongs to a reference, an image lies on another grid than its reference, or a reference
            cannot be used.
    """
    images = find_images(images_dir, edition)
    joined = join_cases(predictions_dir, references_dir, edition)

    count = 0
    for pair in joined.pairs:
        path = images.get(pair.case)
        if path is None:
            continue

        aligned = read_pair(pair, edition)
        image = on_grid(path, aligned.geometry)  # (Z, Y, X)
        picture = out_dir / f"{pair.case}.png"
        render_case(picture, pair.case, image, aligned, edition)
        count += 1

    if count == 0:
        raise InputError(f"{images_dir}: no T2 image belongs to a reference in {references_dir}")
    return count


def render_case(path: Path, case: str, image: np.ndarray, pair: AlignedPair, edition: Edition) -> None:
    """Write one PNG: a slice with both outlines, whole and enlarged around the structures.

    Args:
        path: The file to write.
        case: What the case is called.
        image: T2 image (Z, Y, X).
        pair: Labels of reference and result on the same grid.
        edition: What the labels mean.

    Raises:
        InputError: The disk refuses.
    """
    first, *_ = edition.structures
    structure = TUMOUR if TUMOUR in edition.structures else first
    expected = edition.mask_of(pair.reference, structure)
    result = edition.mask_of(pair.prediction, structure)
    shown = expected
    if not expected.any():
        shown = (pair.reference > 0) | (pair.prediction > 0)
    areas = shown.sum(axis=(1, 2))  # (Z,)
    index = int(areas.argmax())
    slice_yx = image[index]

    low, high = np.percentile(slice_yx, WINDOW)
    # A constant slice has no contrast to stretch.
    high = max(high, low + 1e-6)

    metric = primary()
    score = metric.value(MaskPair(result, expected, pair.geometry))
    name = edition.anatomy_of(structure).title
    title = f"{case}, slice {index}: {name} {metric.label} {score:.2f}; red reference, green result"

    figure = Figure(figsize=(9, 4.4), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=9)

    _, height_mm, width_mm = pair.geometry.spacing_zyx
    aspect = height_mm / width_mm
    reference_yx = pair.reference[index]
    result_yx = pair.prediction[index]
    whole = slice(None), slice(None)
    enlarged = _around(shown[index])
    left, right = figure.subplots(1, 2)
    for axes, box in ((left, whole), (right, enlarged)):
        axes.imshow(slice_yx[box], cmap="gray", vmin=low, vmax=high, aspect=aspect)
        _outline(axes, reference_yx[box], edition, "red")
        _outline(axes, result_yx[box], edition, "lime")
        axes.set_axis_off()

    with atomic(path) as partial:
        figure.savefig(partial, dpi=110)


def _outline(axes: Axes, labels: np.ndarray, edition: Edition, colour: str) -> None:
    """Outline every structure in `labels` (Y, X)."""
    for structure in edition.structures:
        # Parts of a structure are left out: their outlines would cover its own.
        mask = edition.mask_of(labels, structure)
        if mask.any():
            axes.contour(mask, levels=[0.5], colors=colour, linewidths=1.0)


def _around(mask: np.ndarray) -> tuple[slice, slice]:
    """A third of the image around the middle of `mask` (Y, X), or the whole of it where there is nothing."""
    if not mask.any():
        return slice(None), slice(None)
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    return _part_around(rows, height), _part_around(columns, width)


def _part_around(places: np.ndarray, size: int) -> slice:
    """Part of a side of `size` voxels around the middle of some places, moved into the image."""
    length = size // PART
    middle = int(np.unique(places).mean())
    start = max(0, middle - length // 2)
    start = min(start, size - length)
    return slice(start, start + length)
