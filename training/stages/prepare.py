"""Every training image on the working grid, memory-mapped: the GAN stages read it without an image library."""

from __future__ import annotations

import logging
import shutil
from functools import partial
from pathlib import Path

import numpy as np

from training.config import RunConfig
from training.data.challenge_rules import UNKNOWN, audit
from training.data.dataset_check import check_files, size_in_patient_order, swap_warning, table, write_findings
from training.data.raw_cases import KnownCases, RawCase, data_dir, find_cases, named_folders
from training.parallel import file_by_file
from training.run_folder import REPORT, is_done
from training.stage_table import PREPARE
from vestibule.editions import TUMOUR, Edition, get_edition
from vestibule.errors import InputError
from vestibule.files import atomic, write_json, write_text
from vestibule.preprocessing import mask_to_working, to_working
from vestibule.volume import read_header, read_labels, read_scan

logger = logging.getLogger(__name__)

FOREGROUND = -0.9
"""Working intensities above this are head, not air."""
IMAGE_BYTES, LABEL_BYTES = 2, 1
"""Bytes of a voxel of a prepared image (float16) and of its label (uint8)."""


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where the disk has no room for the prepared volumes.

    Cases whose files are not there yet and regions that a label will enlarge are not counted.
    """
    if is_done(known.run_dir, PREPARE):
        return

    rows, columns = config.prepare.size_yx
    needed = 0
    for case in known.cases:
        if not case.image.is_file():
            continue
        geometry, _ = read_header(case.image)
        slices, _, _ = size_in_patient_order(geometry)
        voxel_bytes = IMAGE_BYTES
        if case.label:
            voxel_bytes += LABEL_BYTES
        needed += slices * rows * columns * voxel_bytes

    free = shutil.disk_usage(known.run_dir).free
    if needed > free:
        raise InputError(
            f"{known.run_dir}: {len(known.cases)} prepared cases take {needed / 1e9:.1f} GB, and the disk has "
            f"{free / 1e9:.1f} GB free; make room, or name a folder on another disk by --run"
        )


def prepare(config: RunConfig, run_dir: Path) -> list[Path]:
    """Write every training case to `prepare/` as float16 in [-1, 1] (Z, Y, X), labels as uint8, and an index.

    Data from outside are checked, every file, before the first is prepared; what they hold is written to
    `findings.csv` and, as a table, to `report.txt`. What the challenge's rules forbid is a warning.

    Args:
        config: Its sections `prepare`, `edition` and `phantom`.
        run_dir: Folder of a run that knows where its data lies.

    Returns:
        Paths of the index, the findings and all volumes.

    Raises:
        InputError: A folder holds no cases, or some cases cannot be used; every one of them is named.
    """
    folder = PREPARE.folder(run_dir)
    edition = get_edition(config.edition)
    data = data_dir(config, run_dir)
    cases = find_cases(data, edition, named_folders(run_dir))
    outputs = [folder / "index.json"]

    rules = UNKNOWN
    if not config.phantom:
        rules = audit(cases, data, edition)
        outputs += _report(cases, edition, folder)
        for remark in rules["remarks"]:
            logger.warning("%s", remark)

    prepare_one = partial(_prepare_case, config=config, folder=folder)
    entries = file_by_file(prepare_one, cases, PREPARE.name)
    write_json(folder / "index.json", {"cases": entries, "rules": rules})
    for entry in entries:
        outputs.append(folder / entry["image"])
        if entry["label"]:
            outputs.append(folder / entry["label"])
    return outputs


def _report(cases: list[RawCase], edition: Edition, folder: Path) -> list[Path]:
    """Check every file, and write what they hold. Raises InputError that names the faulty ones."""
    found = check_files(cases, edition)
    write_findings(folder / "findings.csv", found)
    write_text(folder / REPORT, table(found) + "\n")
    warning = swap_warning(found, edition)
    if warning:
        logger.warning("%s", warning)
    return [folder / "findings.csv"]


def _prepare_case(case: RawCase, config: RunConfig, folder: Path) -> dict:
    """Write one case on the working grid; its entry in the index."""
    edition = get_edition(config.edition)
    volume = read_scan(case.image)
    mask = read_labels(case.label) if case.label else None
    # A region that would cut the label off is enlarged.
    is_target = case.domain == "target"
    working = to_working(volume, config.prepare, keep=mask, is_target=is_target)
    image_name = f"{case.domain}/{case.name}.npy"
    _save(folder / image_name, working.voxels.astype(np.float16))

    label_name = None
    tumour_voxels: list[int] = []
    if mask:
        labels = mask_to_working(mask, working.geometry)
        label_name = f"{case.domain}/{case.name}_label.npy"
        _save(folder / label_name, labels)
        tumour = edition.mask_of(labels, TUMOUR)
        tumour_voxels = tumour.sum(axis=(1, 2)).tolist()

    head = working.voxels > FOREGROUND
    share_of_head = head.mean(axis=(1, 2)).round(4)
    return {
        "case": case.name,
        "domain": case.domain,
        "site": edition.site_of(case.name),
        "image": image_name,
        "label": label_name,
        "spacing_zyx": list(working.geometry.spacing_zyx),
        "foreground": share_of_head.tolist(),
        "tumour_voxels": tumour_voxels,
    }


def _save(path: Path, array: np.ndarray) -> None:
    with atomic(path) as partial_path:
        np.save(partial_path, array)
