"""A picture of the population: slices through the canals, labels outlined, and the ears enlarged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.data.sheets import outline
from training.phantom.cases import Case, case_paths
from training.phantom.config import PhantomConfig
from vestibule.editions import get_edition
from vestibule.files import atomic
from vestibule.volume import Volume, read_labels, read_volume

ROWS = 3
COLUMNS_OF = {
    "source": (slice(0, 2), "ceT1 and its label"),
    "target": (slice(2, 4), "T2 and its hidden reference"),
}
"""Columns of the picture for each domain, and what they show."""
ZOOM_MM = 90.0
"""Width of the enlarged part."""
BRIGHTEST_PERCENTILE = 99.7
"""Intensity that is shown white."""


def write_preview(path: Path, cases: list[Case], config: PhantomConfig, out_dir: Path) -> None:
    """Write a PNG with `ROWS` source patients (left) and as many target patients (right).

    Args:
        path: The PNG file.
        cases: The population's cases; the first of each domain are shown.
        config: What the population is made of.
        out_dir: Folder of the population.
    """
    figure = Figure(
        figsize=(18, 4.2 * ROWS),
        facecolor="black",
        layout="constrained",
    )
    axes = figure.subplots(ROWS, 4, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")

    edition = get_edition(config.edition)
    for domain, (columns, title) in COLUMNS_OF.items():
        shown = [case for case in cases if case.domain == domain][:ROWS]
        for row, case in enumerate(shown):
            image_path, label_path = case_paths(case, edition, out_dir)
            image = read_volume(image_path)
            label = read_labels(label_path)
            whole, enlarged = axes[row, columns]
            _plot_case(whole, enlarged, image, label)
            whole.set_title(f"{case.name}: {title}", color="white", fontsize=11)

    # A canvas of its own: no window and no global state of matplotlib's.
    FigureCanvasAgg(figure)
    with atomic(path) as partial:
        figure.savefig(partial, dpi=70, facecolor="black")


def _plot_case(whole: Axes, enlarged: Axes, image: Volume, label: Volume) -> None:
    """Plot the slice with most of the label: the whole of it, and its labelled part enlarged with outlines."""
    per_slice = (label.voxels > 0).sum(axis=(1, 2))
    middle_slice = len(image.voxels) // 2
    k = int(per_slice.argmax()) if per_slice.any() else middle_slice
    plane = image.voxels[k]  # (Y, X)
    mask = label.voxels[k]

    _, step_y_mm, step_x_mm = image.geometry.spacing_zyx
    white = float(np.percentile(image.voxels, BRIGHTEST_PERCENTILE))
    for axis in (whole, enlarged):
        axis.imshow(
            plane,
            cmap="gray",
            vmin=0,
            vmax=white,
            aspect=step_y_mm / step_x_mm,
            interpolation="bicubic",
        )

    outline(enlarged, mask, 1.0)

    # The enlarged part is wider than high.
    centre_y, centre_x = _middle_of(mask)
    half_x = 0.5 * ZOOM_MM / step_x_mm
    half_y = 0.35 * ZOOM_MM / step_y_mm
    enlarged.set_xlim(centre_x - half_x, centre_x + half_x)
    # The patient's front is on top.
    enlarged.set_ylim(centre_y + half_y, centre_y - half_y)


def _middle_of(mask: np.ndarray) -> tuple[float, float]:
    """Middle (y, x) in voxels of the box around a mask (Y, X), or of the slice where the mask is empty."""
    if not mask.any():
        size_y, size_x = mask.shape
        return size_y / 2, size_x / 2

    rows, columns = np.nonzero(mask)
    middle_y = float(rows.min() + rows.max()) / 2
    middle_x = float(columns.min() + columns.max()) / 2
    return middle_y, middle_x
