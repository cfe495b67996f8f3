"""Implanted heads on disk: the image under its own name, its label, and a record of what was put where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.implant.canals import Canal
from training.phantom.tumour_shape import Tumour
from vestibule.editions import TUMOUR, Edition, case_of_image
from vestibule.errors import InputError
from vestibule.files import read_json, write_json
from vestibule.locks import claimed, locked
from vestibule.volume import Volume, write_volume

RECORD = "implants.json"
"""What was put where, by image; it also tells a rules audit that these are not the challenge's data."""


def output_paths(image_path: Path, out_dir: Path, edition: Edition) -> tuple[Path, Path]:
    """Where image and label of an implanted head go.

    Raises InputError where either is there already, or the folder's record cannot be added to.
    """
    _read_entries(out_dir)
    case, _ = case_of_image(image_path)
    image_out = out_dir / image_path.name
    label_out = out_dir / edition.label_name(case)
    for path in (image_out, label_out):
        if path.exists():
            raise InputError(f"{path}: is there already; name another OUT")
    return image_out, label_out


def write_implanted(
    image_path: Path, out_dir: Path, image: Volume, label: Volume, edition: Edition
) -> tuple[Path, Path]:
    """Write image and label of an implanted head, with the geometry as the original file stores it.

    Args:
        image_path: The original image.
        out_dir: Folder to write to.
        image: The head with its tumour.
        label: 1 where the tumour is out of the canal, 2 where it is in it.
        edition: Whose label values are written.

    Returns:
        Paths of image and label.

    Raises:
        InputError: Either is there already, or the disk refuses.
    """
    values = part_values(edition)
    edition_label = label.with_voxels(values[label.voxels])
    # Of two processes with one image, one is refused: image and label belong together.
    with claimed(out_dir / image_path.name):
        image_out, label_out = output_paths(image_path, out_dir, edition)
        write_volume(label_out, edition_label, like=image_path)
        write_volume(image_out, image, like=image_path)
    return image_out, label_out


def part_values(edition: Edition) -> np.ndarray:
    """Label values (3,) uint8 of background, the tumour out of the canal and the tumour in it."""
    whole = edition.values_of(TUMOUR)
    values = [0]
    for part in ("extrameatal", "intrameatal"):
        # An edition that tells no parts apart has one value for both.
        of_part = edition.parts.get(f"{TUMOUR}_{part}", whole)
        values.append(of_part[0])
    return np.array(values, dtype=np.uint8)


def record(image_path: Path, canal: Canal, tumour: Tumour, contrast: str, seed: int) -> dict[str, Any]:
    """What `implants.json` says of one image.

    Args:
        image_path: The original image.
        canal: Where the tumour lies, in patient mm.
        tumour: What was put there.
        contrast: `T1` or `T2`.
        seed: Seed of the tumour.

    Returns:
        The entry, ready for JSON.
    """
    # Patient x grows to the left, and every canal runs outward.
    side = "left" if canal.fundus[0] > canal.porus[0] else "right"
    return {
        "from": str(image_path),
        "side": side,
        "porus": canal.porus.round(2).tolist(),
        "fundus": canal.fundus.round(2).tolist(),
        "doubt": canal.doubt,
        "volume_mm3": round(tumour.volume_mm3, 1),
        "class": tumour.tumour_class,
        "contrast": contrast,
        "seed": seed,
    }


def add_record(out_dir: Path, image_name: str, entry: dict[str, Any]) -> None:
    """Add what was done to an image to the record of its folder, which other processes may add to at the same time.

    Raises InputError where the record cannot be read or written.
    """
    with locked(out_dir / RECORD):
        entries = _read_entries(out_dir)
        entries[image_name] = entry
        write_json(out_dir / RECORD, entries, indent=1)


def _read_entries(out_dir: Path) -> dict[str, Any]:
    """The record of a folder, empty where there is none. Raises InputError for a file that is no record."""
    path = out_dir / RECORD
    if not path.is_file():
        return {}
    entries = read_json(path)
    if not isinstance(entries, dict):
        raise InputError(f"{path}: is not a record of implants; move it away, or name another OUT")
    return entries
