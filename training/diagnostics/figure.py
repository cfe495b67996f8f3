"""`vestibule train figure`: one case of a finished run as a sheet like Figures 2 and 3 of Sallé et al. 2021."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.intermediates import Translators, target_images
from training.data.sheets import save_sheet
from training.data.slices import PreparedCase, read_cases
from training.diagnostics.source_case import source_intermediates
from training.run_folder import recorded_config
from training.stage_table import EXPORT, PREPARE
from vestibule.data_folders import TARGET, VALIDATION
from vestibule.editions import TUMOUR, Edition, get_edition
from vestibule.errors import InputError
from vestibule.pipeline import load_model
from vestibule.preprocessing import mask_to_working, to_working
from vestibule.volume import read_labels, read_scan


@dataclass(frozen=True)
class Panel:
    """What a figure shows of a case: all volumes (Z, Y, X)."""

    images: dict[str, np.ndarray]
    """By title, in [-1, 1]."""
    outlines: dict[str, np.ndarray]
    """Masks by the title of the image that they are plotted on."""
    tumour: np.ndarray
    """What the slices are chosen by."""


def plot_case(run_dir: Path, name: str, out: Path, slices: int = 1) -> None:
    """Plot a case of a run: rows of slices through its tumour, the largest section first.

    A labelled T1 case: T1, T2 with the tumour erased, with the copy as on T1 and as it enters the harmoniser,
    harmonised, and T1 back from it, with the tumour outlined. A T2 case, unseen or not: T2 with the reference outlined
    where there is one, and each arm's synthetic T1 with the tumour that the segmenter predicts.

    Args:
        run_dir: Folder of a finished run.
        name: The case.
        out: PNG to write.
        slices: Number of rows.

    Raises:
        InputError: The run has no such case, or lacks a stage.
    """
    recorded = recorded_config(run_dir, PREPARE)
    edition = get_edition(recorded["edition"])
    sources = {case.name: case for case in read_cases(run_dir, "source")}
    if name in sources:
        panel = _source_panel(run_dir, sources[name], edition)
    else:
        panel = _target_panel(run_dir, name, edition, list(sources))

    # Rows of the sheet, each a slice of every volume.
    rows = choose_rows(panel.tumour, slices)
    columns = {}
    for title, image in panel.images.items():
        columns[title] = [image[row] for row in rows]
    outlines = {}
    for title, mask in panel.outlines.items():
        outlines[title] = [mask[row] for row in rows]
    names = [f"{name}\nslice {index}" for index in rows]
    save_sheet(out, columns, outlines, rows=names, inches=3.0)


def choose_rows(tumour: np.ndarray, count: int) -> list[int]:
    """Indices of the `count` slices with the largest sections of `tumour` (Z, Y, X); else the middle."""
    sections = tumour.sum(axis=(1, 2))
    if not sections.any():
        middle = len(tumour) // 2
        return [middle]
    occupied = np.flatnonzero(sections)
    # Stable, so that of slices alike the first comes first.
    by_size = np.argsort(-sections[occupied], kind="stable")
    largest_first = occupied[by_size]
    return largest_first[:count].tolist()


def _source_panel(run_dir: Path, case: PreparedCase, edition: Edition) -> Panel:
    """A labelled T1 case and its intermediates."""
    translators = Translators(run_dir)
    images = source_intermediates(case, run_dir, translators)
    labels = np.asarray(case.labels)
    tumour = edition.mask_of(labels, TUMOUR)
    outlines = dict.fromkeys(images, tumour)
    return Panel(images, outlines, tumour)


def _target_panel(run_dir: Path, name: str, edition: Edition, sources: list[str]) -> Panel:
    """A T2 case and what each arm of the bundle makes of it. Raises InputError where the run has no such case."""
    targets: dict[str, tuple[Path, Path | None]] = {}
    for role in (TARGET, VALIDATION):
        targets.update(target_images(run_dir, edition, role))
    if name not in targets:
        some_sources = ", ".join(sources[:2])
        some_targets = ", ".join(list(targets)[:2])
        raise InputError(
            f"{run_dir}: has no case {name!r}; T1 cases are {some_sources} ..., T2 cases {some_targets} ..."
        )

    image, label = targets[name]
    scan = read_scan(image)
    bundle = EXPORT.folder(run_dir) / "bundle"
    recorded = recorded_config(run_dir, EXPORT)
    images = {}
    outlines = {}
    for arm in recorded["arms"]:
        model = load_model(bundle, arm)
        working = to_working(scan, model.preprocessing)
        synthetic = model.synthetic_t1(working)
        probabilities = model.segmenter.probabilities(synthetic, working.geometry.spacing_zyx)  # (C, Z, Y, X)
        labels = probabilities.argmax(axis=0)
        predicted = edition.mask_of(labels, TUMOUR)
        # Some arms segment T2 itself.
        title = f"synthetic T1, {arm}" if model.translator is not None else f"T2, {arm}"
        images["T2"] = working.voxels
        images[title] = synthetic
        outlines[title] = predicted

    # Where the data have no reference, the sections are chosen by what the last arm predicts.
    tumour = predicted
    if label:
        true_labels = mask_to_working(read_labels(label), working.geometry)
        tumour = edition.mask_of(true_labels, TUMOUR)
        outlines["T2"] = tumour
    return Panel(images, outlines, tumour)
