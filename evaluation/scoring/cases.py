"""Which prediction belongs to which reference, and both on one voxel grid."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from evaluation.metrics import Mode
from evaluation.scoring.links import ReferenceFiles, refuse_link_out
from evaluation.scoring.pairs import Pair
from vestibule.boxes import bounding_box
from vestibule.commands.options import resolve_edition
from vestibule.editions import Edition, label_case
from vestibule.errors import InputError
from vestibule.text import shown
from vestibule.turning import turned_onto
from vestibule.volume import Geometry, Volume, read_header, read_labels


@dataclass(frozen=True)
class Joined:
    """The cases of two folders, in the order of their names."""

    pairs: list[Pair]
    extra: list[Path] = field(default_factory=list)
    """Predicted masks of cases that have no reference."""


@dataclass(frozen=True)
class AlignedPair:
    """Labels (Z, Y, X) uint8 of prediction and reference on the reference's grid."""

    prediction: np.ndarray
    reference: np.ndarray
    geometry: Geometry
    problem: str | None = None
    """Why the prediction counts as an empty one, where it does."""
    notes: tuple[str, ...] = ()


def join_cases(predictions_dir: Path, references_dir: Path, edition: Edition, within: Path | None = None) -> Joined:
    """Join the masks of two folders by the case that their names tell, in either naming of the edition.

    Args:
        predictions_dir: Flat folder of predicted masks.
        references_dir: Flat folder of references.
        edition: How masks are called.
        within: Folder that no prediction may lead out of, where what is in it was handed in by others.

    Returns:
        The cases. One without a prediction, or with two, keeps its place with the problem named.

    Raises:
        InputError: A folder is missing, the references are none or ambiguous, or no prediction belongs to any of them.
    """
    references = references_by_case(Path(references_dir), edition)
    predictions = masks_by_case(Path(predictions_dir), edition)
    names = sorted(references, key=natural_order)
    if not references.keys() & predictions.keys():
        expected = edition.prediction_name(names[0])
        raise InputError(
            f"{predictions_dir}: none of its {len(predictions)} masks belongs to a case of {references_dir} "
            f"(expected, for instance, {expected})"
        )

    reference_files = ReferenceFiles.of(references_dir)
    pairs = []
    for case in names:
        found = predictions.get(case, [])
        pair = _pair(case, references[case], found, edition)
        checked = reference_files.refuse_link(pair)
        if within is not None:
            checked = refuse_link_out(checked, within)
        pairs.append(checked)

    extra: list[Path] = []
    for case, paths in predictions.items():
        if case not in references:
            extra += paths
    return Joined(pairs, extra)


def references_by_case(references_dir: Path, edition: Edition) -> dict[str, Path]:
    """The reference of each case of a flat folder. Raises InputError where there is none, or two of a case."""
    found = masks_by_case(Path(references_dir), edition)
    if not found:
        within = folders_within(references_dir)
        raise InputError(f"{references_dir}: no reference mask of edition {edition.year} in this folder{within}")

    references = {}
    for case, paths in found.items():
        first, *others = paths
        if others:
            raise InputError(f"{first}: {others[0].name} is a reference of case {case} too; keep one of them")
        references[case] = first
    return references


def masks_by_case(folder: Path, edition: Edition | None = None) -> dict[str, list[Path]]:
    """Masks of a flat folder by the case that their names tell, in the naming of one edition or of any.

    Raises InputError where there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.is_dir():
            continue
        case = label_case(path, edition)
        if case:
            # A name that cannot be shown is that of a file that will be refused.
            masks = found.setdefault(shown(case), [])
            masks.append(path)
    return found


def folders_within(folder: Path) -> str:
    """What to add where a folder holds no mask: the folders in it that may; empty where there is none."""
    names = []
    for path in sorted(Path(folder).iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            names.append(path.name)
    if not names:
        return ""
    return f"; name one of its folders: {', '.join(names[:5])}"


def edition_of_masks(folder: Path, given: Edition | None = None) -> Edition:
    """The edition of a flat folder of masks: the one that was given, else the one that the case names tell.

    Raises InputError where there is no mask, or where `resolve_edition` does.
    """
    # Of the endings of any edition, as the edition is not known yet.
    names = sorted(masks_by_case(Path(folder)))
    if not names:
        raise InputError(f"{folder}: no mask in this folder{folders_within(folder)}")
    return resolve_edition(given, names, folder)


def read_pair(pair: Pair, edition: Edition, mode: Mode = "default") -> AlignedPair:
    """Read both masks and bring the prediction onto the reference's grid.

    A prediction that cannot be read, does not fit or holds a label that the edition does not have becomes an empty one
    with its problem named. Axes in another order or direction are turned back exactly. Equal shapes that lie elsewhere
    are a problem by default; in the mode `challenge` they are compared voxel by voxel, as the organisers do.

    Args:
        pair: Where the masks of a case are.
        edition: Which labels they may hold.
        mode: Whose rules hold.

    Returns:
        The labels of both on one grid.

    Raises:
        InputError: The reference cannot be read, or holds a label that the edition does not have.
    """
    reference = read_labels(pair.reference_path)
    _check_labels(reference, edition, pair.reference_path)

    nothing = np.zeros_like(reference.voxels)
    blank = AlignedPair(nothing, reference.voxels, reference.geometry, pair.problem)
    path = pair.prediction_path
    if path is None or pair.problem is not None:
        return blank

    try:
        _check_size(path, reference.geometry)
        prediction = read_labels(path)
        _check_labels(prediction, edition, path)
        voxels, notes = _onto(prediction, reference.geometry, path, mode)
    except InputError as error:
        return replace(blank, problem=str(error))
    except MemoryError:
        return replace(blank, problem=f"{path}: does not fit into memory")
    return replace(blank, prediction=voxels, notes=notes)


def _onto(prediction: Volume, geometry: Geometry, path: Path, mode: Mode) -> tuple[np.ndarray, tuple[str, ...]]:
    """Voxels (Z, Y, X) of a prediction on the reference's grid, and notes. Raises InputError where it does not fit."""
    found = prediction.geometry
    turned = turned_onto(prediction, geometry)
    if turned is prediction:
        return prediction.voxels, ()
    if turned is not None:
        return turned.voxels, ("axes turned onto the reference's grid",)
    if found.size_zyx != geometry.size_zyx:
        raise InputError(_other_size(path, found, geometry))
    if mode == "challenge":
        return prediction.voxels, ("lies elsewhere than the reference; compared voxel by voxel",)

    origin = _rounded(found.origin_xyz)
    expected_origin = _rounded(geometry.origin_xyz)
    spacing = _rounded(found.spacing_zyx)
    expected_spacing = _rounded(geometry.spacing_zyx)
    raise InputError(
        f"{path}: lies elsewhere than the reference (origin {origin} against {expected_origin} mm, spacing {spacing} "
        f"against {expected_spacing} mm, or another direction); write the mask with the image's geometry"
    )


def natural_order(name: str) -> list[tuple[int, str]]:
    """A key that sorts names with the numbers in them by their size: 2 before 10."""
    key = []
    for part in re.split(r"([0-9]+)", name):
        if part.isdigit():
            key.append((int(part), ""))
        else:
            key.append((-1, part))
    return key


def _check_labels(mask: Volume, edition: Edition, path: Path) -> None:
    box = bounding_box(mask.voxels)
    if box is None:
        return
    # Outside the box is background alone, and most of the mask.
    foreign = edition.foreign_labels(mask.voxels[box])
    if foreign:
        shown = ", ".join(f"{value:g}" for value in foreign)
        known = ", ".join(map(str, edition.labels))
        raise InputError(
            f"{path}: holds {shown}, which is no label of edition {edition.year} ({known}); give the edition of these "
            "masks with --edition, or write them with its labels"
        )


def _check_size(path: Path, geometry: Geometry) -> None:
    # Before its voxels are read: a header may promise more than the memory holds.
    found, _ = read_header(path)
    if sorted(found.size_zyx) != sorted(geometry.size_zyx):
        raise InputError(_other_size(path, found, geometry))


def _other_size(path: Path, found: Geometry, expected: Geometry) -> str:
    return f"{path}: expected {expected.size_zyx} voxels (z, y, x) as the reference has, got {found.size_zyx}"


def _rounded(values: tuple[float, ...]) -> tuple[float, ...]:
    rounded = []
    for value in values:
        rounded.append(round(float(value), 3))
    return tuple(rounded)


def _pair(case: str, reference: Path, predictions: list[Path], edition: Edition) -> Pair:
    if not predictions:
        expected = edition.prediction_name(case)
        return Pair(case, reference, None, f"no prediction; expected a file called {expected}")
    if len(predictions) > 1:
        first, second = predictions[:2]
        return Pair(case, reference, None, f"two predictions: {first} and {second.name}; keep one")
    return Pair(case, reference, predictions[0])
