"""What there is to segment, and where each mask goes: the organisers' flat folder, or a Grand Challenge job."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from vestibule.editions import IMAGE_SUFFIXES, Edition, image_stem, is_named_as_other, target_case
from vestibule.errors import InputError

PLATFORM_LISTING = "inputs.json"
"""Grand Challenge's list of a job's inputs."""
PLATFORM_IMAGES = "images"
"""Folder under /input and /output with one folder for each of a job's images."""
PLATFORM_RESULTS = "results.json"
"""Grand Challenge's file for what is not an image."""


@dataclass(frozen=True)
class Case:
    """One image to segment."""

    name: str
    image_path: Path
    mask_path: Path
    """Where its mask is expected."""


@dataclass(frozen=True)
class Selection:
    """What a folder holds: images to segment, images that cannot be told apart, and files that are something else."""

    cases: tuple[Case, ...]
    refused: tuple[str, ...] = ()
    """One line for each group of images that cannot be segmented because their masks would have the same name."""
    passed_over: tuple[Path, ...] = ()
    """Files that are no images, or that their names call T1 or a label."""


def find_cases(input_path: Path, output_dir: Path, edition: Edition) -> Selection:
    """The T2 images of a flat folder, or one file, with the places of their masks in `output_dir`.

    Images that are named as T2 are taken under their case's name. Where none is, every image that is not named as T1 or
    as a label is taken, under its whole name. Hidden files are ignored. Raises InputError where there is nothing.
    """
    input_path = Path(input_path)
    files = _files_at(input_path)
    candidates = [path for path in files if not is_named_as_other(path)]
    names = _case_names(candidates)
    if not names:
        raise InputError(f"{input_path}: {_nothing_to_segment(input_path, files)}")

    by_mask = defaultdict(list)
    for path, name in names.items():
        mask_path = Path(output_dir) / edition.prediction_name(name)
        by_mask[mask_path].append(path)

    cases, refused = [], []
    for mask_path, paths in by_mask.items():
        first, *others = paths
        if others:
            other_names = ", ".join(path.name for path in others)
            refused.append(
                f"{first} and {other_names}: their masks would both be called {mask_path.name}; "
                "keep one of them, or rename it"
            )
        else:
            cases.append(Case(names[first], first, mask_path))
    passed_over = [path for path in files if path not in names]
    return Selection(tuple(cases), tuple(refused), tuple(passed_over))


def _case_names(candidates: list[Path]) -> dict[Path, str]:
    """The case name of each file to segment: of those named as T2, else, where none is, of every image."""
    named_as_t2 = {}
    images = {}
    for path in candidates:
        case = target_case(path)
        stem = image_stem(path)
        if case:
            named_as_t2[path] = case
        if stem:
            images[path] = stem
    return named_as_t2 or images


def prepare_output(output_dir: Path) -> None:
    """Make the folder for masks. Raises InputError where it is a file, or cannot be made or written to."""
    output_dir = Path(output_dir)
    if output_dir.exists() and not output_dir.is_dir():
        raise InputError(f"{output_dir}: is a file; OUTPUT must be a folder")
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output_dir}: the folder cannot be made ({error.strerror})") from error
    if not os.access(output_dir, os.W_OK | os.X_OK):
        raise InputError(f"{output_dir}: the folder cannot be written to (permission denied)")


def is_platform_job(input_dir: Path) -> bool:
    """Whether `input_dir` is laid out as Grand Challenge does: a folder `images`, or a list of the job's inputs."""
    return (input_dir / PLATFORM_IMAGES).is_dir() or (input_dir / PLATFORM_LISTING).is_file()


def find_platform_case(input_dir: Path, output_dir: Path, output_slug: str) -> Case:
    """Find the one image of a Grand Challenge job.

    Its folder is the one that inputs.json names (items with `socket` or `interface`), else the only folder under
    images/.

    Args:
        input_dir: The job's inputs.
        output_dir: Where its outputs go.
        output_slug: Folder under `output_dir`/images/ that the mask goes to, as .mha.

    Returns:
        The image and the place of its mask.

    Raises:
        InputError: There is not exactly one image, or the output's folder holds another file, since the platform
            accepts exactly one there. The message lists what was found.
    """
    input_dir, output_dir = Path(input_dir), Path(output_dir)
    listing = input_dir / PLATFORM_LISTING
    images_dir = input_dir / PLATFORM_IMAGES
    if listing.is_file():
        where, folders = listing, _listed_folders(listing)
    else:
        where, folders = images_dir, _image_folders(images_dir)
    if len(folders) != 1:
        found = ", ".join(folder.name for folder in folders) or "none"
        raise InputError(f"{where}: expected exactly one image input, found {len(folders)} ({found})")

    files = _files_at(folders[0])
    if len(files) != 1:
        found = ", ".join(path.name for path in files) or "nothing"
        raise InputError(f"{folders[0]}: expected exactly one image, found {len(files)} files ({found})")
    image_path = files[0]
    name = image_stem(image_path)
    if name is None:
        raise InputError(f"{image_path}: not an image; expected a name that ends in {', '.join(IMAGE_SUFFIXES)}")

    mask_path = output_dir / PLATFORM_IMAGES / output_slug / f"{name}.mha"
    _refuse_second_output(mask_path)
    return Case(name, image_path, mask_path)


def _files_at(path: Path) -> list[Path]:
    """The file `path`, or the files right in the folder `path` by name, hidden ones left out."""
    try:
        if path.is_file():
            return [path]
        entries = sorted(path.iterdir())
        return [entry for entry in entries if entry.is_file() and not entry.name.startswith(".")]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _nothing_to_segment(path: Path, files: list[Path]) -> str:
    """Why there is nothing to segment at `path`, which holds `files`, and what to name in its place."""
    endings = ", ".join(IMAGE_SUFFIXES)
    if path.is_file():
        return f"not a T2 image by its name; expected one that ends in {endings}, not T1 or a label"
    if files:
        return f"none of its {len(files)} files is an image to segment (T1 images and labels, by name, are not)"
    folders = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
    if folders:
        return f"the folder holds no image ({endings}); name one of its folders: {', '.join(folders[:5])}"
    return f"the folder holds no image ({endings})"


def _image_folders(images_dir: Path) -> list[Path]:
    """Folders of images: those under `images_dir`, and itself where an image lies right in it."""
    try:
        entries = sorted(entry for entry in images_dir.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{images_dir}: cannot be read ({error.strerror})") from error
    folders = [entry for entry in entries if entry.is_dir()]
    return folders if len(folders) == len(entries) else [images_dir, *folders]


def _listed_folders(listing: Path) -> list[Path]:
    """Folders of the images that a job's list of inputs names."""
    places = []
    try:
        for item in json.loads(listing.read_text(encoding="utf-8")):
            # The platform calls an input a socket today, and called it an interface before.
            socket = item.get("socket") or item["interface"]
            if socket.get("super_kind", "Image") != "Image":
                continue
            own_folder = socket.get("relative_path")
            places.append(Path(own_folder) if own_folder else Path(PLATFORM_IMAGES) / socket["slug"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise InputError(f"{listing}: not a list of items with a socket or an interface ({cause})") from error
    for place in places:
        if place.is_absolute() or ".." in place.parts:
            raise InputError(f"{listing}: {place} lies outside {listing.parent}")
    return [listing.parent / place for place in places]


def _refuse_second_output(mask_path: Path) -> None:
    """Refuse a folder that holds something beside the one mask: the platform would not know which to take."""
    present = mask_path.parent.glob("*")
    others = sorted(path.name for path in present if path.name != mask_path.name)
    if others:
        raise InputError(f"{mask_path.parent}: must hold the one mask, but already holds {', '.join(others)}")
