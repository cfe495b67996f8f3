"""The points of a folder of predicted masks, before an upload slot is spent on it."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract.report import Report
from vestibule.editions import Edition, edition_of, image_stem, label_case, target_case
from vestibule.errors import InputError
from vestibule.inputs import find_cases
from vestibule.unpack import MAX_FILE_BYTES
from vestibule.volume import Geometry, read_header, read_volume

SHOWN = 5
"""Names that a finding lists at most."""
MAX_VALUES = 256
"""Values that a mask may hold at most: more, and it is an image."""


@dataclass(frozen=True)
class Mask:
    """What one readable mask holds."""

    name: str
    geometry: Geometry
    voxel_type: str
    counts: dict[float, int]
    """Voxels of each value."""
    digest: str
    """Of voxels and shape: equal masks have equal digests."""

    @property
    def values(self) -> np.ndarray:
        """Every value that it holds, ascending."""
        return np.array(sorted(self.counts))

    def volume_mm3(self, labels: tuple[int, ...]) -> float:
        """Volume in mm3 of the structure that `labels` make up."""
        voxels = 0
        for label in labels:
            voxels += self.counts.get(float(label), 0)
        voxel_mm3 = float(np.prod(self.geometry.spacing_zyx))
        return voxels * voxel_mm3


def case_names(folder: Path, images_dir: Path | None = None) -> list[str]:
    """Case names of the masks in `folder`, and of their images, which are to tell the edition.

    Names that no edition has are left out where others are there: a mask may be misnamed, which is a point of its own.
    Raises InputError where a folder is missing or empty.
    """
    found = [label_case(path) for path in _files(folder)]
    if images_dir is not None:
        found += [target_case(path) for path in _files(images_dir)]
    names = sorted({name for name in found if name})
    telling = [name for name in names if edition_of([name]) is not None]
    return telling or names


def check_predictions(
    folder: Path,
    edition: Edition,
    report: Report,
    images_dir: Path | None = None,
    progress: Callable[[list[Path]], Iterable[Path]] = iter,
) -> None:
    """Note in `report` what is wrong with the masks in `folder`: names, counts, geometry, type, labels, volumes.

    Args:
        folder: Masks to hand in, right in it.
        edition: Whose names and labels hold.
        report: Gets a finding for each point.
        images_dir: The T2 images that were segmented; without it, counts and geometry cannot be looked at.
        progress: Wraps the list of masks that is gone through.

    Raises:
        InputError: There is nothing to look at.
    """
    files = _files(folder)
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
        for structure in edition.structures:
            _check_structure(masks, structure, edition, report)
        _check_copies(masks, report)


def _files(folder: Path) -> list[Path]:
    """Every file and link under `folder`, by name. Raises InputError where there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    if not files:
        raise InputError(f"{folder}: the folder is empty; expected one file a case")
    return files


def _check_names(files: list[Path], folder: Path, edition: Edition, report: Report) -> list[Path]:
    """The files that are called as masks of the edition."""
    named: list[Path] = []
    wrong: list[str] = []
    other: list[str] = []
    for path in files:
        shown = str(path.relative_to(folder))
        # A Mac leaves a hidden file beside each one that it copies or packs.
        is_image = image_stem(path) is not None and not path.name.startswith(".")
        # The name of an image in place of a mask's still tells the case.
        case = label_case(path, edition) or target_case(path) or "CASE"
        expected = edition.prediction_name(case)
        if path.is_symlink():
            wrong.append(f"{shown} is a link")
        elif not is_image:
            other.append(shown)
        elif path.parent != folder:
            wrong.append(f"{shown} lies in a folder of its own")
        elif path.name != expected:
            wrong.append(f"{shown} should be {expected}")
        else:
            named.append(path)

    report.judge(
        "names",
        wrong,
        f"{len(named)} masks named as edition {edition.year} has it",
        f"name each mask as edition {edition.year} has it, right in the folder, and leave out what is no mask",
    )
    if other:
        report.warn("other files", ", ".join(other[:5]), "upload masks alone")
    return named


def _check_counts(named: list[Path], images_dir: Path | None, edition: Edition, report: Report) -> dict[str, Path]:
    """The image of each expected mask, by the mask's name; and a note of masks that are missing or have no image."""
    if images_dir is None:
        report.untested("counts", f"{len(named)} masks", "name the folder of images with --images")
        return {}
    selection = find_cases(images_dir, Path(), edition)
    images = {case.mask_path.name: case.image_path for case in selection.cases}
    if selection.refused:
        report.judge("images", list(selection.refused), "", "their masks are not asked for; mend these images")

    found = {path.name for path in named}
    missing = images.keys() - found
    without_image = found - images.keys()
    problems = [f"{name} is missing" for name in sorted(missing)]
    problems += [f"{name} belongs to no image" for name in sorted(without_image)]
    report.judge(
        "counts",
        problems,
        f"one mask for each of {len(images)} images",
        "hand in exactly one mask a case",
    )
    return images


def _check_geometry(masks: list[Mask], images: dict[str, Path], report: Report) -> None:
    """Whether each mask lies on its image's grid."""
    if not images:
        report.untested("geometry", "no images to compare with", "name the folder of images with --images")
        return
    problems = []
    unreadable = []
    for mask in masks:
        if mask.name not in images:
            continue
        try:
            image, _ = read_header(images[mask.name])
        except InputError as error:
            unreadable.append(str(error))
            continue
        image_xyz = image.size_zyx[::-1]
        mask_xyz = mask.geometry.size_zyx[::-1]
        # A tenth of a voxel: headers round, and the organisers' own comparison is no stricter.
        tolerance_mm = 0.1 * min(image.spacing_zyx)
        if image_xyz != mask_xyz:
            problems.append(f"{mask.name} has {mask_xyz} voxels (x, y, z), its image {image_xyz}")
        elif not image.describes(mask.geometry, tolerance_mm):
            problems.append(f"{mask.name} lies elsewhere than its image (spacing, origin or axes differ)")
    if unreadable:
        report.judge("images", unreadable, "", "their masks are not compared with them; mend these images")
    report.judge(
        "geometry",
        problems,
        "every other mask on its image's grid" if unreadable else "every mask on its image's grid",
        "copy spacing, origin and direction from the image, and undo every flip and resampling",
    )


def _check_values(masks: list[Mask], edition: Edition, report: Report) -> None:
    """Whether masks hold integers, and none but the edition's labels."""
    inexact = []
    foreign = []
    for mask in masks:
        if "integer" not in mask.voxel_type:
            inexact.append(f"{mask.name} is stored as {mask.voxel_type}")
        values = edition.foreign_labels(mask.values)
        if values:
            shown = ", ".join(f"{value:g}" for value in values[:5])
            foreign.append(f"{mask.name} holds {shown}")
    report.judge(
        "integer type",
        inexact,
        masks[0].voxel_type,
        "store labels as uint8, without a slope",
    )

    meanings = []
    for structure in edition.structures:
        labels = "+".join(str(value) for value in edition.values_of(structure))
        meanings.append(f"{structure} {labels}")
    known = f"0, {', '.join(meanings)}"
    report.judge(
        "labels",
        foreign,
        known,
        f"edition {edition.year} knows {known} and nothing else",
    )


def _check_structure(masks: list[Mask], structure: str, edition: Edition, report: Report) -> None:
    """Whether a structure is in every mask, and as large as it is in patients where that is known."""
    labels = edition.values_of(structure)
    usual_mm3 = edition.anatomy_of(structure).volume_mm3
    empty = []
    odd = []
    for mask in masks:
        volume_mm3 = mask.volume_mm3(labels)
        if volume_mm3 == 0:
            empty.append(mask.name)
        elif usual_mm3 is not None and not usual_mm3[0] <= volume_mm3 <= usual_mm3[1]:
            odd.append(f"{mask.name} {volume_mm3:.0f}")

    point = f"empty {structure}"
    if empty:
        remedy = "an empty structure scores Dice 0 and an ASSD of 350 mm: is it meant?"
        report.warn(point, f"{len(empty)} of {len(masks)}: {_some(empty)}", remedy)
    else:
        report.passed(point, f"none of {len(masks)} masks")

    point = f"volume of {structure}"
    if usual_mm3 is None:
        report.untested(point, "nobody has measured how large it is in patients")
        return
    low, high = usual_mm3
    span = f"{low:.0f} to {high:.0f} mm3"
    if odd:
        report.warn(point, f"{_some(odd)} mm3", f"the training labels of 2021 have {span}: look at these masks")
    else:
        report.passed(point, f"within the {span} of the training labels")


def _check_copies(masks: list[Mask], report: Report) -> None:
    """Whether two masks are the same, voxel by voxel."""
    by_digest = defaultdict(list)
    for mask in masks:
        by_digest[mask.digest].append(mask.name)
    copies = []
    for names in by_digest.values():
        if len(names) > 1:
            copies.append(" = ".join(names))
    if copies:
        remedy = "two cases rarely have one mask; some evaluations refuse equal files"
        report.warn("copies", _some(copies), remedy)
    else:
        report.passed("copies", "no two masks are equal")


def _some(names: list[str]) -> str:
    """The first few names, and how many there are besides."""
    shown = ", ".join(names[:SHOWN])
    more = len(names) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _read_mask(path: Path) -> Mask:
    """Read one mask that may come from anyone. Raises InputError where it is damaged or its header is absurd."""
    if path.name.lower().endswith(".gz"):
        _refuse_endless_gzip(path)
    geometry, voxel_type = read_header(path)
    voxels = read_volume(path).voxels
    by_value: Counter[float] = Counter()
    # The shape too: two empty masks of different images are no copies.
    digest = hashlib.sha256(str(voxels.shape).encode())
    # A slice at a time: copies of a large mask would not fit into memory.
    for plane in voxels:  # (Y, X)
        values, counts = np.unique(plane, return_counts=True)
        by_value.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        if len(by_value) > MAX_VALUES:
            raise InputError(f"{path}: holds more than {MAX_VALUES} values; expected a mask of labels")
        digest.update(plane.astype(np.uint8).tobytes())
    return Mask(
        name=path.name,
        geometry=geometry,
        voxel_type=voxel_type,
        counts=dict(by_value),
        digest=digest.hexdigest(),
    )


def _refuse_endless_gzip(path: Path) -> None:
    """Unpack a file without keeping it, up to a bound."""
    size = 0
    try:
        with gzip.open(path) as stream:
            while piece := stream.read(1 << 20):
                size += len(piece)
                if size > MAX_FILE_BYTES:
                    raise InputError(f"{path}: unpacks to more than {MAX_FILE_BYTES} bytes; refused")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged or truncated gzip ({error})") from error
