"""A population of synthetic patients on disk, in the challenge's folders and names."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from training.phantom.anatomy import Patient, make_patient
from training.phantom.cases import Case, case_paths, plan_cases
from training.phantom.config import PhantomConfig
from training.phantom.render import render
from training.phantom.scanner import describe, sample_geometry, sample_protocol
from training.phantom.signals import SEQUENCES
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import atomic, write_text
from vestibule.volume import Geometry, write_volume

ANATOMY_VERSION = 6
"""Raised when the same seed no longer gives the same patients: a population is never continued by another version."""
COLUMNS = (
    "case",
    "domain",
    "site",
    "tumour_side",
    "tumour_volume_mm3",
    "tumour_class",
    "intrameatal_mm",
    "extrameatal_mm",
    "sequence",
    "spacing_z_mm",
    "spacing_y_mm",
    "spacing_x_mm",
    "oblique_deg",
    "seed",
)
"""Columns of population.csv."""


def make_population(out_dir: Path, config: PhantomConfig, progress: Callable[[int, int], None] | None = None) -> None:
    """Write a population: images and labels of every case, `population.csv`, `population.json`, `preview.png`.

    Each file is written whole or not at all, and cases that are there from an interrupted run with the same
    configuration are kept.

    Args:
        out_dir: Folder to write to: a new or empty one, or that of an interrupted run.
        config: What the population is made of.
        progress: Called with (cases done, cases in all) after each case.

    Raises:
        InputError: `out_dir` holds something else, or the disk refuses.
    """
    # matplotlib takes a while to import, which the rest of the package need not wait for.
    from training.phantom.preview import write_preview

    out_dir = Path(out_dir)
    _claim(out_dir, config)
    cases = plan_cases(config)

    rows = []
    for row in _make_cases(cases, config, out_dir):
        rows.append(row)
        if progress is not None:
            progress(len(rows), len(cases))

    _write_csv(out_dir / "population.csv", rows)
    write_preview(out_dir / "preview.png", cases, config, out_dir)


def make_case(case: Case, config: PhantomConfig, out_dir: Path) -> dict[str, object]:
    """Sample and render one case unless its files are there; return its row of population.csv."""
    # One stream of random numbers for each concern, so that a change of one leaves the others as they were.
    streams = np.random.SeedSequence(case.seed).spawn(3)
    anatomy_rng, grid_rng, scan_rng = map(np.random.default_rng, streams)

    patient = make_patient(config, anatomy_rng)
    contrast = "ceT1" if case.domain == "source" else "T2"
    protocol = sample_protocol(case.site, contrast, grid_rng)
    geometry = sample_geometry(protocol, config, grid_rng)

    image_path, label_path = case_paths(case, get_edition(config.edition), out_dir)
    if not (image_path.is_file() and label_path.is_file()):
        sequence = SEQUENCES[protocol.sequence]
        image, label = render(patient, sequence, geometry, scan_rng)

        # Scanners store integers.
        scanner_units = np.rint(image.voxels).astype(np.int16)
        write_volume(label_path, label)
        write_volume(image_path, image.with_voxels(scanner_units))
    return _row(case, patient, protocol.sequence, geometry)


def _make_cases(cases: list[Case], config: PhantomConfig, out_dir: Path) -> Iterator[dict[str, object]]:
    """Rows of all cases in their order, whichever process makes them."""
    if config.workers == 1:
        for case in cases:
            yield make_case(case, config, out_dir)
        return

    # Processes that start anew: a fork would inherit threads of libraries that do not survive it.
    with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn")) as pool:
        configs = [config] * len(cases)
        folders = [out_dir] * len(cases)
        yield from pool.map(make_case, cases, configs, folders)


def _row(case: Case, patient: Patient, sequence: str, geometry: Geometry) -> dict[str, object]:
    tumour = patient.tumour
    intrameatal_mm, extrameatal_mm = patient.extent()
    spacing_z_mm, spacing_y_mm, spacing_x_mm = geometry.spacing_zyx
    # The angle of a rotation R follows from trace(R) = 1 + 2 cos(angle).
    cosine = (np.trace(geometry.matrix) - 1) / 2
    angle = np.arccos(np.clip(cosine, -1, 1))
    oblique_deg = np.degrees(angle)

    return {
        "case": case.name,
        "domain": case.domain,
        "site": case.site,
        "tumour_side": patient.tumour_side,
        "tumour_volume_mm3": f"{tumour.volume_mm3:.1f}" if tumour else "0",
        "tumour_class": tumour.tumour_class if tumour else "none",
        "intrameatal_mm": f"{intrameatal_mm:.1f}",
        "extrameatal_mm": f"{extrameatal_mm:.1f}",
        "sequence": describe(SEQUENCES[sequence]),
        "spacing_z_mm": f"{spacing_z_mm:g}",
        "spacing_y_mm": f"{spacing_y_mm:g}",
        "spacing_x_mm": f"{spacing_x_mm:g}",
        "oblique_deg": f"{oblique_deg:.2f}",
        "seed": case.seed,
    }


def _claim(out_dir: Path, config: PhantomConfig) -> None:
    """Make `out_dir` this population's, or refuse it where it is another's."""
    # The number of processes changes no file, so a population may be continued with another one.
    settings = asdict(config)
    del settings["workers"]
    plan = json.dumps({"anatomy_version": ANATOMY_VERSION, **settings}, indent=2) + "\n"

    plan_path = out_dir / "population.json"
    if plan_path.is_file():
        if plan_path.read_text(encoding="utf-8") != plan:
            raise InputError(f"{out_dir}: holds a population of another configuration; give a new folder or delete it")
        return

    if out_dir.exists() and not out_dir.is_dir():
        raise InputError(f"{out_dir}: is a file; expected a folder to write to")
    if out_dir.is_dir() and any(out_dir.iterdir()):
        raise InputError(f"{out_dir}: is not empty and holds no population; give a new folder")
    write_text(plan_path, plan)


def _write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with atomic(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
