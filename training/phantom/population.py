"""A population of synthetic patients on disk, in the challenge's folders and names."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from training.phantom.anatomy import Patient, make_patient
from training.phantom.config import PhantomConfig
from training.phantom.render import render
from training.phantom.scanner import describe, sample_geometry, sample_protocol
from training.phantom.signals import SEQUENCES
from vestibule.editions import Edition, get_edition
from vestibule.errors import InputError
from vestibule.volume import Geometry, write_volume

ANATOMY_VERSION = 6
"""Raised when the same seed no longer gives the same patients: a population is never continued by another version."""
DOMAINS = ("source", "target", "validation")
REFERENCES = "references"
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


@dataclass(frozen=True)
class Case:
    """One patient of the population: who, where, and the seed that everything about them comes from."""

    name: str
    domain: str
    site: str
    seed: int


def plan_cases(config: PhantomConfig) -> list[Case]:
    """Every case of the population, numbered through as the challenge does.

    A case's seed depends on the population's seed, its domain and its place there, so that asking for more cases
    leaves the first ones as they were, and no patient is in two domains.
    """
    edition, number, cases = get_edition(config.edition), 0, []
    counts = (config.cases, config.cases, config.validation_cases)
    for domain_index, (domain, count) in enumerate(zip(DOMAINS, counts, strict=True)):
        for index in range(count):
            number += 1
            site = config.site_cycle[index % len(config.site_cycle)]
            sequence = np.random.SeedSequence((config.seed, domain_index, index))
            seed = int(sequence.generate_state(1, np.uint64)[0] >> 1)
            cases.append(Case(edition.case_name(site, number), domain, site, seed))
    return cases


def case_paths(case: Case, edition: Edition, out_dir: Path) -> tuple[Path, Path]:
    """Image and label of a case. Labels of the target domain lie apart, in `references/`: the challenge hides them."""
    out_dir = Path(out_dir)
    if case.domain == "source":
        folder = out_dir / edition.source_folder
        return folder / edition.source_name(case.name), folder / edition.label_name(case.name)
    name = edition.target_folder if case.domain == "target" else edition.validation_folder
    return out_dir / name / edition.target_name(case.name), out_dir / REFERENCES / name / edition.label_name(case.name)


def make_population(out_dir: Path, config: PhantomConfig, progress: Callable[[int, int], None] | None = None) -> None:
    """Write a population: images and labels of every case, `population.csv`, `population.json`, `preview.png`.

    `progress` is called with (cases done, cases in all). Each file is written whole or not at all, and cases that are
    there from an interrupted run with the same configuration are kept. Raises InputError where `out_dir` holds
    something else.
    """
    from training.phantom.preview import write_preview

    out_dir = Path(out_dir)
    _claim(out_dir, config)
    cases = plan_cases(config)
    rows = []
    for row in _draw_all(cases, config, out_dir):
        rows.append(row)
        if progress is not None:
            progress(len(rows), len(cases))
    _write_csv(out_dir / "population.csv", rows)
    write_preview(out_dir / "preview.png", cases, config, out_dir)


def draw_case(case: Case, config: PhantomConfig, out_dir: Path) -> dict[str, object]:
    """Draw one case unless its files are there, and return its row of population.csv."""
    edition = get_edition(config.edition)
    anatomy, grid, scan = (np.random.default_rng(s) for s in np.random.SeedSequence(case.seed).spawn(3))
    patient = make_patient(config, anatomy)
    protocol = sample_protocol(case.site, "ceT1" if case.domain == "source" else "T2", grid)
    geometry = sample_geometry(protocol, config, grid)
    image_path, label_path = case_paths(case, edition, out_dir)
    if not (image_path.is_file() and label_path.is_file()):
        image, label = render(patient, SEQUENCES[protocol.sequence], geometry, scan)
        write_volume(label_path, label)
        write_volume(image_path, image.with_voxels(np.rint(image.voxels).astype(np.int16)))
    return _row(case, patient, protocol.sequence, geometry)


def _draw_all(cases: list[Case], config: PhantomConfig, out_dir: Path) -> Iterator[dict[str, object]]:
    if config.workers == 1:
        for case in cases:
            yield draw_case(case, config, out_dir)
        return
    with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn")) as pool:
        count = len(cases)
        yield from pool.map(draw_case, cases, [config] * count, [out_dir] * count)


def _row(case: Case, patient: Patient, sequence: str, geometry: Geometry) -> dict[str, object]:
    in_canal, in_angle = patient.extent()
    spacing = geometry.spacing_zyx
    turned = np.degrees(np.arccos(np.clip((np.trace(geometry.matrix) - 1) / 2, -1, 1)))
    values = (
        case.name,
        case.domain,
        case.site,
        patient.tumour_side,
        f"{patient.tumour.volume_mm3:.1f}" if patient.tumour else "0",
        patient.tumour.tumour_class if patient.tumour else "none",
        f"{in_canal:.1f}",
        f"{in_angle:.1f}",
        describe(SEQUENCES[sequence]),
        *(f"{step:g}" for step in spacing),
        f"{turned:.2f}",
        case.seed,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _claim(out_dir: Path, config: PhantomConfig) -> None:
    """Make `out_dir` this population's, or refuse it where it is another's."""
    plan_path = out_dir / "population.json"
    kept = {key: value for key, value in asdict(config).items() if key != "workers"}
    plan = json.dumps({"anatomy_version": ANATOMY_VERSION, **kept}, indent=2) + "\n"
    if plan_path.is_file():
        if plan_path.read_text() != plan:
            raise InputError(f"{out_dir}: holds a population of another configuration; give a new folder or delete it")
        return
    if out_dir.exists() and not out_dir.is_dir():
        raise InputError(f"{out_dir}: is a file; expected a folder to write to")
    if out_dir.is_dir() and any(out_dir.iterdir()):
        raise InputError(f"{out_dir}: is not empty and holds no population; give a new folder")
    out_dir.mkdir(parents=True, exist_ok=True)
    _write_text(plan_path, plan)


def _write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(partial, path)


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    os.replace(partial, path)
