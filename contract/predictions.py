"""The points of a folder of predicted masks, before an upload slot is spent on it."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract.report import Report
from contract.unpack import MAX_FILE_BYTES
from vestibule.editions import ANATOMY, IMAGE_SUFFIXES, Edition, image_stem, label_case, target_case
from vestibule.errors import InputError
from vestibule.inputs import find_cases
from vestibule.volume import Geometry, read_header, read_volume

_MHA_HEADER_BYTES = 64 << 10


@dataclass(frozen=True)
class Mask:
    """What one readable mask holds."""

    name: str
    geometry: Geometry
    voxel_type: str
    values: dict[float, int]
    """Voxels of each value."""
    digest: str
    """Of voxels and shape: equal masks have equal digests."""

    def volume_mm3(self, labels: tuple[int, ...]) -> float:
        """Volume of a structure in mm3."""
        return sum(self.values.get(float(label), 0) for label in labels) * float(np.prod(self.geometry.spacing_zyx))


def check_predictions(
    folder: Path,
    edition: Edition,
    report: Report,
    images_dir: Path | None = None,
    progress: Callable[[list[Path]], object] = iter,
) -> None:
    """Note in `report` what is wrong with the masks in `folder`: names, counts, geometry, type, labels, volumes.

    `images_dir` holds the T2 images that were segmented; without it, counts and geometry cannot be looked at.
    `progress` wraps the list of masks that is gone through. Raises InputError where there is nothing to look at.
    """
    files = _files(folder)
    if not files:
        raise InputError(f"{folder}: the folder is empty; expected one mask a case")
    named = _check_names(files, folder, edition, report)
    images = _check_counts(named, images_dir, edition, report)
    masks, unreadable = [], []
    for path in progress(named):
        try:
            masks.append(_read_mask(path))
        except InputError as error:
            unreadable.append(str(error))
    report.judge("readable", unreadable, f"{len(masks)} masks", "write these masks again")
    if masks:
        _check_geometry(masks, images, report)
        _check_values(masks, edition, report)
        _check_volumes(masks, edition, report)
        _check_copies(masks, report)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    return sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def _check_names(files: list[Path], folder: Path, edition: Edition, report: Report) -> list[Path]:
    """The files that are called as masks of the edition."""
    named, wrong, other = [], [], []
    for path in files:
        shown = str(path.relative_to(folder))
        case = label_case(path, edition)
        if path.is_symlink():
            wrong.append(f"{shown} is a link")
        elif path.parent != folder and image_stem(path):
            wrong.append(f"{shown} lies in a folder of its own")
        elif image_stem(path) is None:
            other.append(shown)
        elif case is None or edition.prediction_name(case) != path.name:
            wrong.append(f"{shown} should be {edition.prediction_name(case or target_case(path) or 'CASE')}")
        else:
            named.append(path)
    remedy = f"name each mask as edition {edition.year} has it, right in the folder, and leave out what is no mask"
    report.judge("names", wrong, f"{len(named)} masks named as edition {edition.year} has it", remedy)
    if other:
        report.warn("other files", f"{', '.join(other[:5])}", "upload masks alone")
    return named


def _check_counts(named: list[Path], images_dir: Path | None, edition: Edition, report: Report) -> dict[str, Path]:
    """The image of each expected mask, by the mask's name; and a note of masks that are missing or have no image."""
    if images_dir is None:
        report.untested("counts", f"{len(named)} masks", "name the folder of images with --images")
        return {}
    cases = find_cases(images_dir, Path(), edition).cases
    images = {case.mask_path.name: case.image_path for case in cases}
    found = {path.name for path in named}
    problems = [f"{name} is missing" for name in sorted(images.keys() - found)]
    problems += [f"{name} belongs to no image" for name in sorted(found - images.keys())]
    report.judge("counts", problems, f"one mask for each of {len(images)} images", "hand in exactly one mask a case")
    return images


def _check_geometry(masks: list[Mask], images: dict[str, Path], report: Report) -> None:
    if not images:
        report.untested("geometry", "no images to compare with", "name the folder of images with --images")
        return
    problems = []
    for mask in masks:
        if mask.name in images:
            image, _ = read_header(images[mask.name])
            if image.size_zyx != mask.geometry.size_zyx:
                size = mask.geometry.size_zyx[::-1]
                problems.append(f"{mask.name} has {size} voxels (x, y, z), its image {image.size_zyx[::-1]}")
            elif not image.describes(mask.geometry, tolerance_mm=0.1 * min(image.spacing_zyx)):
                problems.append(f"{mask.name} lies elsewhere than its image (spacing, origin or axes differ)")
    remedy = "copy spacing, origin and direction from the image, and undo every flip and resampling"
    report.judge("geometry", problems, "every mask on its image's grid", remedy)


def _check_values(masks: list[Mask], edition: Edition, report: Report) -> None:
    inexact = [f"{mask.name} is stored as {mask.voxel_type}" for mask in masks if "integer" not in mask.voxel_type]
    report.judge("integer type", inexact, masks[0].voxel_type, "store labels as uint8, without a slope")
    foreign = []
    for mask in masks:
        values = sorted(set(mask.values) - {float(label) for label in edition.labels})
        if values:
            foreign.append(f"{mask.name} holds {', '.join(f'{value:g}' for value in values[:5])}")
    names = ", ".join(f"{name} {'+'.join(map(str, labels))}" for name, labels in edition.structures.items())
    report.judge("labels", foreign, f"0, {names}", f"edition {edition.year} knows 0, {names} and nothing else")


def _check_volumes(masks: list[Mask], edition: Edition, report: Report) -> None:
    for structure, labels in edition.structures.items():
        volumes = {mask.name: mask.volume_mm3(labels) for mask in masks}
        empty = [name for name, volume in volumes.items() if volume == 0]
        if empty:
            remedy = "an empty structure scores Dice 0 and an ASSD of 350 mm: is it meant?"
            report.warn(f"empty {structure}", f"{len(empty)} of {len(masks)}: {_some(empty)}", remedy)
        else:
            report.passed(f"empty {structure}", f"none of {len(masks)} masks")
        low, high = ANATOMY[structure].volume_mm3
        odd = [f"{name} {volume:.0f}" for name, volume in volumes.items() if volume and not low <= volume <= high]
        if odd:
            remedy = f"the training labels of 2021 have {low:.0f} to {high:.0f} mm3: look at these masks"
            report.warn(f"volume of {structure}", f"{_some(odd)} mm3", remedy)
        else:
            report.passed(f"volume of {structure}", f"within the {low:.0f} to {high:.0f} mm3 of the training labels")


def _check_copies(masks: list[Mask], report: Report) -> None:
    same = defaultdict(list)
    for mask in masks:
        same[mask.digest].append(mask.name)
    copies = [" = ".join(names) for names in same.values() if len(names) > 1]
    if copies:
        report.warn("copies", _some(copies), "two cases rarely have one mask; some evaluations refuse equal files")
    else:
        report.passed("copies", "no two masks are equal")


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _read_mask(path: Path) -> Mask:
    """Read one mask that may come from anyone. Raises InputError where it is damaged or its header is absurd."""
    _check_bounds(path)
    geometry, voxel_type = read_header(path)
    voxels = read_volume(path).voxels
    values, counts = np.unique(voxels, return_counts=True)
    if len(values) > 256:
        raise InputError(f"{path}: holds {len(values)} values; expected a mask of labels")
    digest = hashlib.sha256(str(voxels.shape).encode() + voxels.astype(np.uint8).tobytes()).hexdigest()
    return Mask(path.name, geometry, voxel_type, dict(zip(values.tolist(), counts.tolist(), strict=True)), digest)


def _check_bounds(path: Path) -> None:
    """Refuse what unpacks without end, and a MetaImage that would read other files of this machine."""
    if path.name.endswith(".mha"):
        with path.open("rb") as stream:
            header = stream.read(_MHA_HEADER_BYTES)
        lines = [line.strip() for line in header.partition(b"LOCAL")[0].splitlines()]
        if b"LOCAL" not in header or lines[-1].replace(b" ", b"") != b"ElementDataFile=":
            raise InputError(f"{path}: its voxels lie in another file; expected ElementDataFile = LOCAL")
        return
    if not path.name.endswith(IMAGE_SUFFIXES[0]):
        return
    size = 0
    try:
        with gzip.open(path) as stream:
            while piece := stream.read(1 << 20):
                size += len(piece)
                if size > MAX_FILE_BYTES:
                    raise InputError(f"{path}: unpacks to more than {MAX_FILE_BYTES} bytes; refused")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged or truncated gzip ({error})") from error
