"""A picture of the population: slices through the canals, labels outlined, and the ears enlarged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.phantom.config import PhantomConfig
from vestibule.editions import get_edition
from vestibule.volume import Volume, read_labels, read_volume

COLOURS = {1: "#ff5050", 2: "#40d0ff", 3: "#ffd040"}
ROWS = 3
ZOOM_MM = 90.0
"""Width of the enlarged part."""


def write_preview(path: Path, cases: list, config: PhantomConfig, out_dir: Path) -> None:
    """Write a PNG with `ROWS` source patients (left) and as many target patients (right)."""
    from training.phantom.population import case_paths

    edition = get_edition(config.edition)
    figure = Figure(figsize=(18, 4.2 * ROWS), facecolor="black", layout="constrained")
    axes = figure.subplots(ROWS, 4, squeeze=False)
    for column, domain, what in ((0, "source", "ceT1 and its label"), (2, "target", "T2 and its hidden reference")):
        chosen = [case for case in cases if case.domain == domain][:ROWS]
        for row, case in enumerate(chosen):
            image_path, label_path = case_paths(case, edition, out_dir)
            _show(axes[row, column : column + 2], read_volume(image_path), read_labels(label_path))
            axes[row, column].set_title(f"{case.name}: {what}", color="white", fontsize=11)
    for axis in axes.flat:
        axis.axis("off")
    FigureCanvasAgg(figure)
    partial = path.with_name(f".{path.stem}.partial.png")
    figure.savefig(partial, dpi=70, facecolor="black")
    partial.replace(path)


def _show(axes: np.ndarray, image: Volume, label: Volume) -> None:
    marked = (label.voxels > 0).sum(axis=(1, 2))
    k = int(marked.argmax()) if marked.any() else image.voxels.shape[0] // 2
    plane, mask = image.voxels[k], label.voxels[k]
    step_y, step_x = image.geometry.spacing_zyx[1:]
    bright = float(np.percentile(image.voxels, 99.7))
    for axis in axes:
        axis.imshow(plane, cmap="gray", vmin=0, vmax=bright, aspect=step_y / step_x, interpolation="bicubic")
    for value in np.unique(mask[mask > 0]):
        axes[1].contour(mask == value, [0.5], colors=COLOURS[int(value)], linewidths=1.0)
    rows, columns = np.nonzero(mask) if mask.any() else np.array([[n / 2] for n in plane.shape])
    centre_y, centre_x = (float(v.min() + v.max()) / 2 for v in (rows, columns))
    half_x, half_y = 0.5 * ZOOM_MM / step_x, 0.35 * ZOOM_MM / step_y
    axes[1].set_xlim(centre_x - half_x, centre_x + half_x)
    axes[1].set_ylim(centre_y + half_y, centre_y - half_y)
