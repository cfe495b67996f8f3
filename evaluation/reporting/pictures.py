"""Pictures of results: the T2 slice with reference and result outlined, as Figure 3 of Sallé et al. 2021."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaluation.images import Images
from evaluation.metrics import MaskPair, primary
from evaluation.metrics.volume import VOLUME
from evaluation.reporting.colours import pens_of
from evaluation.reporting.marks import legend_lines, mark, outline
from evaluation.reporting.plane import plane_of
from evaluation.reporting.views import main_structure, on_grid
from evaluation.scoring.alone import read_alone
from evaluation.scoring.cases import AlignedPair, join_cases, masks_by_case, natural_order, read_pair
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.files import atomic
from vestibule.volume import Volume, reorient

WINDOW = (1.0, 99.5)
"""Percentiles of the slice that become black and white."""
PART = 3
"""The enlarged picture shows one part in so many of the image's sides."""


@dataclass
class RenderedPictures:
    """The pictures of a folder of masks."""

    files: dict[str, Path] = field(default_factory=dict)
    """By case."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why a case has no picture, or one without its mask."""
    image_faults: list[str] = field(default_factory=list)
    """A line for each image that cannot be shown; its case has no picture."""


def render_cases(
    images: Images, predictions_dir: Path, references_dir: Path, out_dir: Path, edition: Edition
) -> RenderedPictures:
    """Render every case that has a reference and an image, as `CASE.png`.

    Args:
        images: The T2 images.
        predictions_dir: Folder of predicted masks.
        references_dir: Folder of references.
        out_dir: Where the pictures go.
        edition: How files are called and what labels mean.

    Returns:
        The pictures, and the cases whose predicted mask is missing or cannot be used; those show the reference alone.

    Raises:
        InputError: No image belongs to a reference, or a reference cannot be used.
    """
    joined = join_cases(predictions_dir, references_dir, edition)

    found = RenderedPictures()
    for pair in joined.pairs:
        path = images.by_case.get(pair.case)
        if path is None:
            continue

        aligned = read_pair(pair, edition)
        try:
            image = on_grid(path, aligned.geometry)  # (Z, Y, X)
        except InputError as error:
            found.image_faults.append(str(error))
            continue
        picture = out_dir / f"{pair.case}.png"
        render_case(picture, pair.case, image, aligned, edition)
        found.files[pair.case] = picture
        if aligned.problem:
            found.problems[pair.case] = aligned.problem

    if not found.files and not found.image_faults:
        raise InputError(f"{references_dir}: no T2 image belongs to a reference in this folder")
    return found


def render_predictions(images: Images, predictions_dir: Path, out_dir: Path, edition: Edition) -> RenderedPictures:
    """Render every image that has a mask, as `CASE.png`, without references.

    Args:
        images: The T2 images.
        predictions_dir: Folder of predicted masks.
        out_dir: Where the pictures go.
        edition: How files are called and what labels mean.

    Returns:
        The pictures, and why others are empty or missing.

    Raises:
        InputError: No mask belongs to an image.
    """
    masks = masks_by_case(predictions_dir, edition)
    found = RenderedPictures()
    for case in sorted(images.by_case, key=natural_order):
        paths = masks.get(case, [])
        if len(paths) != 1:
            names = ", ".join(path.name for path in paths)
            found.problems[case] = f"two masks: {names}" if paths else "no mask of this image"
            continue
        try:
            aligned, voxels = read_alone(paths[0], images.by_case[case], edition)
        except InputError as error:
            found.image_faults.append(str(error))
            continue
        if aligned.problem:
            found.problems[case] = aligned.problem
        picture = out_dir / f"{case}.png"
        render_case(picture, case, voxels, aligned, edition, has_reference=False)
        found.files[case] = picture
    if not found.files and not found.image_faults:
        raise InputError(f"{predictions_dir}: no mask in this folder belongs to an image")
    return found


def render_case(
    path: Path, case: str, image: np.ndarray, pair: AlignedPair, edition: Edition, has_reference: bool = True
) -> None:
    """Write one PNG: a slice with the outlines, whole and enlarged around the structures.

    Args:
        path: The file to write.
        case: What the case is called.
        image: T2 image (Z, Y, X).
        pair: Labels of reference and result on the image's grid.
        edition: What the labels mean.
        has_reference: Whether there is a reference; without, the title tells the volume in place of the score.

    Raises:
        InputError: The disk refuses.
    """
    pens = pens_of(edition)
    structure = pens[0].structure
    expected = edition.mask_of(pair.reference, structure)
    result = edition.mask_of(pair.prediction, structure)
    metric = primary() if has_reference else VOLUME
    value = metric.value(MaskPair(result, expected, pair.geometry))

    def turned(voxels: np.ndarray) -> Volume:
        # Whatever the order of the file's axes, slices are axial and seen as radiologists look at them.
        return reorient(Volume(voxels, pair.geometry), "LPS")

    volume = turned(image)
    reference = turned(pair.reference).voxels
    prediction = turned(pair.prediction).voxels
    shown = main_structure(reference, prediction, edition)
    areas = shown.sum(axis=(1, 2))  # (Z,)
    index = int(areas.argmax())
    slice_yx = volume.voxels[index]

    low, high = np.percentile(slice_yx, WINDOW)
    # A constant slice has no contrast to stretch.
    high = max(high, low + 1e-6)

    last = len(volume.voxels) - 1
    title = f"{case}, slice {index} (0 to {last}, from the feet): {pens[0].title} {metric.label} "
    title += f"{value:.2f}" if has_reference else f"{value:.0f} {metric.unit}"
    figure = Figure(figsize=(9, 4.8), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=9)
    lines = legend_lines(pens, has_reference)
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), fontsize=8, frameon=False)

    plane = plane_of(volume.geometry)
    whole = slice(None), slice(None)
    enlarged = part_around(shown[index])
    left, right = figure.subplots(1, 2)
    for axes, box in ((left, whole), (right, enlarged)):
        part = slice_yx[box]
        axes.imshow(part, cmap="gray", vmin=low, vmax=high, aspect=plane.aspect)
        outline(axes, reference[index][box], pens, of_reference=True)
        outline(axes, prediction[index][box], pens, of_reference=False)
        mark(axes, part.shape, plane)
        axes.set_axis_off()

    with atomic(path) as partial:
        figure.savefig(partial, dpi=110)


def part_around(mask: np.ndarray) -> tuple[slice, slice]:
    """A third of the image around the middle of `mask` (Y, X), or the whole of it where there is nothing."""
    if not mask.any():
        return slice(None), slice(None)
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    return _side_around(rows, height), _side_around(columns, width)


def _side_around(places: np.ndarray, size: int) -> slice:
    """Part of a side of `size` voxels around the middle of some places, moved into the image."""
    length = size // PART
    middle = int(np.unique(places).mean())
    start = max(0, middle - length // 2)
    start = min(start, size - length)
    return slice(start, start + length)
