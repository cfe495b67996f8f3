"""Every training image on the working grid, memory-mapped: the GAN stages read it without an image library."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from training.arms import arms_of
from training.config import RunConfig
from training.data.challenge_rules import UNKNOWN, audit
from training.data.dataset_check import NAMED_AT_MOST, Facts, survey, swap_warning, table, write_findings
from training.parallel import file_by_file
from training.phantom.population import make_population
from training.stage_table import HARMONISER, PHANTOM, PREPARE
from vestibule.editions import Edition, get_edition, target_case
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.preprocessing import mask_to_working, to_working
from vestibule.volume import read_labels, read_scan

FOREGROUND = -0.9
"""Working intensities above this are head, not air."""


@dataclass(frozen=True)
class RawCase:
    """Files of one case as they were downloaded."""

    name: str
    domain: str
    """`source` (contrast-enhanced T1) or `target` (T2)."""
    image: Path
    label: Path | None

    @property
    def site(self) -> str:
        """Site in the case's name (`crossmoda2022_etz_12` -> `etz`); `ldn` where the name has none, as in 2021."""
        parts = self.name.split("_")
        return parts[1] if len(parts) > 2 and parts[1].isalpha() else "ldn"


def make_phantom(config: RunConfig, run_dir: Path) -> list[Path]:
    """Make the run's phantom population in `phantom/data`, in the challenge's own layout."""
    folder = PHANTOM.folder(run_dir) / "data"
    make_population(folder, replace(config.phantom, edition=config.edition, seed=config.seed))
    return sorted(path for path in folder.rglob("*") if path.is_file())


def prepare(config: RunConfig, run_dir: Path) -> list[Path]:
    """Write every training case to `prepare/` as float16 in [-1, 1] (Z, Y, X), labels as uint8, and an index.

    Data from outside are checked, every file, before the first is prepared; what they hold is printed and written to
    `findings.csv`. Raises InputError for a folder without cases, and one that names every case that cannot be used.
    """
    folder, edition = PREPARE.folder(run_dir), get_edition(config.edition)
    data = data_dir(config, run_dir)
    cases = find_cases(data, edition)
    outputs = [folder / "index.json"]
    rules = UNKNOWN
    if not config.phantom:
        facts = survey(cases, edition)
        write_findings(folder / "findings.csv", facts)
        outputs.append(folder / "findings.csv")
        rules = audit(cases, data, edition)
        _tell(facts, rules, edition)
    entries = file_by_file(lambda case: _prepare_case(case, config, folder), cases, PREPARE.name)
    write_json(folder / "index.json", {"cases": entries, "rules": rules})
    names = [name for entry in entries for name in (entry["image"], entry["label"]) if name]
    return outputs + [folder / name for name in names]


def _tell(facts: list[Facts], rules: dict, edition: Edition) -> None:
    click.echo(table(facts))
    for warning in (swap_warning(facts, edition), *rules["remarks"]):
        if warning:
            click.echo(f"warning: {warning}", err=True)


def data_dir(config: RunConfig, run_dir: Path) -> Path:
    """Folder of the training data: the run's own phantoms, or what `data.json` of the run points to."""
    if config.phantom:
        return PHANTOM.folder(run_dir) / "data"
    try:
        return Path(json.loads((run_dir / "data.json").read_text(encoding="utf-8"))["data"])
    except (FileNotFoundError, json.JSONDecodeError, KeyError) as error:
        raise InputError(
            f"{run_dir}: the run has no data yet; pass --data FOLDER with the challenge's folders"
        ) from error


def check_reference(config: RunConfig, run_dir: Path) -> None:
    """Raise InputError where the one-shot arm will find no reference slice: better now than after the CycleGAN."""
    needed = any(HARMONISER in arm.stages for arm in arms_of(config.arms))
    if config.phantom or not needed or config.reference.case is not None:
        return
    labels = data_dir(config, run_dir) / "references" / get_edition(config.edition).target_folder
    if not labels.is_dir():
        raise InputError(
            f"{labels}: no labelled T2 to draw the reference slice from; set reference.case and reference.slice"
        )


def find_cases(data: Path, edition: Edition) -> list[RawCase]:
    """The labelled source and the target training cases below `data`, sources first, each in the order of its name.

    Raises InputError where a folder is missing or empty, or a source image has no label.
    """
    source_dir, target_dir = data / edition.source_folder, data / edition.target_folder
    references = data / "references" / edition.target_folder
    sources, lacking = [], []
    for image in _images(source_dir):
        suffix = f"_{edition.source_suffix}.nii.gz"
        if not image.name.endswith(suffix):
            continue
        name = image.name.removesuffix(suffix)
        label = source_dir / edition.label_name(name)
        if not label.is_file():
            lacking.append(f"{image}: its label {label.name} is missing")
        sources.append(RawCase(name, "source", image, label))
    if lacking:
        more = f"; and {len(lacking) - NAMED_AT_MOST} more" if len(lacking) > NAMED_AT_MOST else ""
        raise InputError("; ".join(lacking[:NAMED_AT_MOST]) + more)
    targets = []
    for image in _images(target_dir):
        name = target_case(image)
        if name:
            label = references / edition.label_name(name)
            targets.append(RawCase(name, "target", image, label if label.is_file() else None))
    for cases, folder, kind in ((sources, source_dir, edition.source_suffix), (targets, target_dir, "T2")):
        if not cases:
            raise InputError(f"{folder}: holds no {kind} image; expected the layout of crossMoDA {edition.year}")
    return sources + targets


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the challenge's own layout")
    return sorted(path for path in folder.iterdir() if path.name.endswith((".nii.gz", ".nii")))


def _prepare_case(case: RawCase, config: RunConfig, folder: Path) -> dict:
    volume = read_scan(case.image)
    mask = read_labels(case.label) if case.label else None
    working = to_working(volume, config.prepare, keep=mask)
    image_name = f"{case.domain}/{case.name}.npy"
    _save(folder / image_name, working.voxels.astype(np.float16))
    label_name, tumour_voxels = None, []
    if mask:
        labels = mask_to_working(mask, working.geometry)
        label_name = f"{case.domain}/{case.name}_label.npy"
        _save(folder / label_name, labels)
        tumour = np.isin(labels, get_edition(config.edition).structures["vs"])
        tumour_voxels = tumour.sum(axis=(1, 2)).tolist()
    return {
        "case": case.name,
        "domain": case.domain,
        "site": case.site,
        "image": image_name,
        "label": label_name,
        "spacing_zyx": list(working.geometry.spacing_zyx),
        "foreground": (working.voxels > FOREGROUND).mean(axis=(1, 2)).round(4).tolist(),
        "tumour_voxels": tumour_voxels,
    }


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial.npy")
    np.save(partial, array)
    partial.replace(path)
