"""`vestibule train figure`: one case of a finished run as a sheet like Figures 2 and 3 of Sallé et al. 2021."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.data.intermediates import Translators, data_of, source_stations, target_images
from training.data.sheets import save_sheet
from training.data.slices import read_cases
from training.run_folder import recorded_config
from training.stage_table import EXPORT, PREPARE
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.pipeline import load_model
from vestibule.preprocessing import mask_to_working, to_working
from vestibule.volume import read_labels, read_scan


def draw_case(run_dir: Path, name: str, out: Path, slices: int = 1) -> None:
    """Draw the case `name` of the run to `out` (PNG): `slices` rows through its tumour, the largest section first.

    A labelled T1 case: T1, T2 with the tumour erased, with the naive copy, harmonised, and T1 back from it, with the
    tumour outlined. A T2 case, unseen or not: T2 with the reference outlined where there is one, and each arm's
    synthetic T1 with what the segmenter calls tumour. Raises InputError for an unknown case or a missing stage.
    """
    sources = {case.name: case for case in read_cases(run_dir, "source")}
    if name in sources:
        labels = np.asarray(sources[name].labels)
        stations = source_stations(sources[name], run_dir, Translators(run_dir))
        edition = get_edition(recorded_config(run_dir, PREPARE)["edition"])
        tumour = np.isin(labels, edition.structures["vs"])
        outlines = dict.fromkeys(stations, tumour)
    else:
        stations, outlines, tumour = _target_stations(run_dir, name)
    rows = choose_rows(tumour, slices)
    save_sheet(
        out,
        {title: [image[index] for index in rows] for title, image in stations.items()},
        {title: [mask[index] for index in rows] for title, mask in outlines.items()},
        rows=[f"{name}\nslice {index}" for index in rows],
        inches=3.0,
    )


def choose_rows(tumour: np.ndarray, count: int) -> list[int]:
    """Indices of the `count` slices with the largest sections of `tumour` (Z, Y, X); else the middle."""
    sections = tumour.sum(axis=(1, 2))
    if not sections.any():
        return [len(tumour) // 2]
    largest = sorted(np.flatnonzero(sections), key=lambda index: (-sections[index], index))
    return [int(index) for index in largest[:count]]


def _target_stations(run_dir: Path, name: str) -> tuple[dict, dict, np.ndarray]:
    section = recorded_config(run_dir, PREPARE)
    edition = get_edition(section["edition"])
    targets = {
        case: paths
        for folder in (edition.target_folder, edition.validation_folder)
        for case, paths in target_images(data_of(run_dir), edition, folder).items()
    }
    if name not in targets:
        known = [case.name for case in read_cases(run_dir, "source")]
        raise InputError(
            f"{run_dir}: has no case {name!r}; T1 cases are {', '.join(known[:2])} ..., T2 cases "
            f"{', '.join(list(targets)[:2])} ..."
        )
    image, label = targets[name]
    bundle = EXPORT.folder(run_dir) / "bundle"
    arms = recorded_config(run_dir, EXPORT)["arms"]
    stations, outlines = {}, {}
    for arm in arms:
        model = load_model(bundle, arm)
        working = to_working(read_scan(image), model.preprocessing)
        synthetic = model.synthetic_t1(working)
        probabilities = model.segmenter.probabilities(synthetic, working.geometry.spacing_zyx)
        stations["T2"] = working.voxels
        title = f"synthetic T1, {arm}" if model.translator is not None else f"T2, {arm}"
        stations[title] = synthetic
        outlines[title] = np.isin(probabilities.argmax(axis=0), edition.structures["vs"])
    tumour = outlines[title]
    if label:
        tumour = np.isin(mask_to_working(read_labels(label), working.geometry), edition.structures["vs"])
        outlines["T2"] = tumour
    return stations, outlines, tumour
