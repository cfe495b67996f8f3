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
    names = {path: target_case(path) for path in files if not is_named_as_other(path)}
    if not any(names.values()):
        names = {path: image_stem(path) for path in names}
    wanted = {path: name for path, name in names.items() if name}
    if not wanted:
        raise InputError(f"{input_path}: {_nothing_to_segment(input_path, files)}")
    by_mask = defaultdict(list)
    for path, name in wanted.items():
        by_mask[Path(output_dir) / edition.prediction_name(name)].append(path)
    cases = tuple(Case(wanted[paths[0]], paths[0], mask) for mask, paths in by_mask.items() if len(paths) == 1)
    refused = tuple(
        f"{paths[0]} and {', '.join(path.name for path in paths[1:])}: their masks would both be called {mask.name}; "
        "keep one of them, or rename it"
        for mask, paths in by_mask.items()
        if len(paths) > 1
    )
    return Selection(cases, refused, tuple(path for path in files if path not in wanted))


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
    """The one image of a Grand Challenge job; its mask goes to `output_dir`/images/`output_slug`/ as .mha.

    The image's folder is the one that inputs.json names (items with `socket` or `interface`), else the only folder
    under images/. Raises InputError, listing what was found, where there is not exactly one image, or where the
    output's folder holds another file, since the platform accepts exactly one there.
    """
    input_dir, output_dir = Path(input_dir), Path(output_dir)
    listing = input_dir / PLATFORM_LISTING
    folders = _listed_folders(listing) if listing.is_file() else _image_folders(input_dir / PLATFORM_IMAGES)
    if len(folders) != 1:
        found = ", ".join(folder.name for folder in folders) or "none"
        where = listing if listing.is_file() else input_dir / PLATFORM_IMAGES
        raise InputError(f"{where}: expected exactly one image input, found {len(folders)} ({found})")
    files = _files_at(folders[0])
    if len(files) != 1:
        found = ", ".join(path.name for path in files) or "nothing"
        raise InputError(f"{folders[0]}: expected exactly one image, found {len(files)} files ({found})")
    name = image_stem(files[0])
    if name is None:
        raise InputError(f"{files[0]}: not an image; expected a name that ends in {', '.join(IMAGE_SUFFIXES)}")
    case = Case(name, files[0], output_dir / PLATFORM_IMAGES / output_slug / f"{name}.mha")
    _refuse_second_output(case.mask_path)
    return case


def _files_at(path: Path) -> list[Path]:
    """The file `path`, or the files right in the folder `path` by name, hidden ones left out."""
    try:
        if path.is_file():
            return [path]
        return sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _nothing_to_segment(path: Path, files: list[Path]) -> str:
    if path.is_file():
        return f"not a T2 image by its name; expected one that ends in {', '.join(IMAGE_SUFFIXES)}, not T1 or a label"
    if files:
        return f"none of its {len(files)} files is an image to segment (T1 images and labels, by name, are not)"
    folders = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
    inside = f"; name one of its folders: {', '.join(folders[:5])}" if folders else ""
    return f"the folder holds no image ({', '.join(IMAGE_SUFFIXES)}){inside}"


def _image_folders(images_dir: Path) -> list[Path]:
    """Folders of images: those under `images_dir`, and itself where an image lies right in it."""
    try:
        entries = sorted(entry for entry in images_dir.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{images_dir}: cannot be read ({error.strerror})") from error
    folders = [entry for entry in entries if entry.is_dir()]
    return folders if len(folders) == len(entries) else [images_dir, *folders]


def _listed_folders(listing: Path) -> list[Path]:
    try:
        items = json.loads(listing.read_text(encoding="utf-8"))
        sockets = [item.get("socket") or item["interface"] for item in items]
        places = [
            Path(socket.get("relative_path") or Path(PLATFORM_IMAGES) / socket["slug"])
            for socket in sockets
            if socket.get("super_kind", "Image") == "Image"
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise InputError(f"{listing}: not a list of items with a socket or an interface ({cause})") from error
    for place in places:
        if place.is_absolute() or ".." in place.parts:
            raise InputError(f"{listing}: {place} lies outside {listing.parent}")
    return [listing.parent / place for place in places]


def _refuse_second_output(mask_path: Path) -> None:
    others = [path.name for path in mask_path.parent.glob("*") if path.name != mask_path.name]
    if others:
        raise InputError(f"{mask_path.parent}: must hold the one mask, but already holds {', '.join(sorted(others))}")
