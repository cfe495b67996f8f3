"""What there is to segment, and where each mask goes: the organisers' flat folder, or a Grand Challenge job."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from vestibule.editions import IMAGE_SUFFIXES, Edition, image_stem, is_named_as_other, label_case, target_case
from vestibule.errors import InputError
from vestibule.files import NOT_UTF8, is_printable, parse_json, printable

PLATFORM_LISTING = "inputs.json"
"""Grand Challenge's list of a job's inputs."""
PLATFORM_IMAGES = "images"
"""Folder under /input and /output with one folder for each of a job's images."""
UNREAD_SUFFIXES = (".mhd", ".nrrd", ".nhdr", ".mgz", ".hdr")
"""Endings of images in formats that are not read: what is called so is told as an image without a mask."""
DICOM_SUFFIXES = (".dcm", ".ima")
"""Endings that DICOM files may have; many have none."""
DICOM_PREAMBLE = 128
"""Bytes before the letters DICM."""
PLATFORM_RESULTS = "results.json"
"""Grand Challenge's file for what is not an image."""


@dataclass(frozen=True)
class Case:
    """One image to segment."""

    name: str
    image_path: Path
    """A file; or, in a job of the platform, the folder of a DICOM image set."""
    mask_path: Path
    """Where its mask is expected."""


@dataclass(frozen=True)
class Selection:
    """What a folder holds: images to segment, images that cannot be told apart, and files that are something else."""

    cases: tuple[Case, ...]
    refused: tuple[str, ...] = ()
    """One line for each image that cannot be opened, and for each group whose masks would have the same name."""
    passed_over: tuple[Path, ...] = ()
    """Files that are no images, or that their names call T1 or a label."""


@dataclass(frozen=True)
class Listing:
    """What lies at a place, hidden files left out: `._NAME`, which a Mac puts beside each file, is none."""

    files: tuple[Path, ...]
    unusable: dict[Path, str]
    """What is called like an image and cannot be one, with the cause."""


def find_cases(input_path: Path, output_dir: Path, edition: Edition) -> Selection:
    """The T2 images of a flat folder, or one file, with the places of their masks in `output_dir`.

    Images that are named as T2 are taken under their case's name. Where none is, every image that is not named as T1 or
    as a label is taken, under its whole name. Hidden files are ignored. What is called like such an image and cannot be
    opened is refused, and costs no other its mask. Raises InputError where there is nothing.
    """
    input_path, output_dir = Path(input_path), Path(output_dir)
    listing = list_images(input_path)
    found = [*listing.files, *listing.unusable]
    candidates = [path for path in found if not is_named_as_other(_with_read_ending(path))]
    names = _case_names(candidates)
    if not names:
        cause = _nothing_to_segment(input_path, found)
        raise InputError(f"{input_path}: {cause}")

    # One image may lie there in two formats, and then neither is better than the other.
    by_mask = defaultdict(list)
    cases, refused = [], []
    for path, name in names.items():
        mask_path = output_dir / edition.prediction_name(name)
        if path in listing.unusable:
            cause = listing.unusable[path]
            refused.append(f"{printable(path)}: {cause}{older_mask(path, mask_path)}")
        else:
            by_mask[mask_path].append(path)

    for mask_path, paths in by_mask.items():
        first, *others = paths
        if others:
            refused.append(
                f"{first} and {_names_of(others)}: their masks would both be called {mask_path.name}; "
                "keep one of them, or rename it"
            )
        else:
            cases.append(Case(names[first], first, mask_path))
    passed_over = [path for path in found if path not in names]
    return Selection(
        cases=tuple(cases),
        refused=tuple(refused),
        passed_over=tuple(passed_over),
    )


def _case_names(candidates: list[Path]) -> dict[Path, str]:
    """The case name of each file to segment: of those named as T2, else, where none is, of every image."""
    named_as_t2 = {}
    images = {}
    for path in candidates:
        as_image = _with_read_ending(path)
        case = target_case(as_image)
        stem = image_stem(as_image)
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

    # To make a file in a folder takes leave to write and to enter.
    if not os.access(output_dir, os.W_OK | os.X_OK):
        raise InputError(f"{output_dir}: the folder cannot be written to (permission denied)")


def is_platform_job(input_dir: Path) -> bool:
    """Whether `input_dir` is laid out as Grand Challenge does: a folder `images`, or a list of the job's inputs."""
    images_dir = input_dir / PLATFORM_IMAGES
    listing = input_dir / PLATFORM_LISTING
    return images_dir.is_dir() or listing.is_file()


def find_platform_case(input_dir: Path, output_dir: Path, output_slug: str) -> Case:
    """Find the one image of a Grand Challenge job: a file, or the folder of a DICOM image set.

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
        found = _names_of(folders) or "none"
        raise InputError(f"{where}: expected exactly one image input, found {len(folders)} ({found})")

    image_path, name = _image_in(folders[0])
    mask_dir = output_dir / PLATFORM_IMAGES / output_slug
    mask_path = mask_dir / f"{name}.mha"
    _refuse_second_output(mask_path)
    return Case(name, image_path, mask_path)


def _image_in(folder: Path) -> tuple[Path, str]:
    """The one image of a folder and its name: a file, or the folder where it holds the slices of a DICOM image set."""
    inside = list_images(folder)
    if holds_dicom(folder):
        return folder, folder.name
    files = [*inside.files, *inside.unusable]
    if len(files) != 1:
        found = _names_of(files) or "nothing"
        raise InputError(f"{folder}: expected exactly one image, found {len(files)} files ({found})")
    image_path = files[0]
    if image_path in inside.unusable:
        raise InputError(f"{printable(image_path)}: {inside.unusable[image_path]}")
    name = image_stem(image_path)
    if name is None:
        endings = ", ".join(IMAGE_SUFFIXES)
        raise InputError(f"{image_path}: not an image; expected a name that ends in {endings}")
    return image_path, name


def list_images(path: Path) -> Listing:
    """The file `path`, or what lies right in the folder `path` by name. Raises InputError where it cannot be read."""
    path = Path(path)
    try:
        # A link that leads nowhere and a pipe have causes of their own.
        is_one = path.is_symlink() or path.exists()
        entries = [path] if is_one and not path.is_dir() else sorted(path.iterdir())
        files = []
        unusable = {}
        for entry in entries:
            if entry.name.startswith(".") and entry != path:
                continue
            cause = _unusable_because(entry)
            if cause is not None:
                unusable[entry] = cause
            elif entry.is_file():
                files.append(entry)
    except FileNotFoundError:
        raise InputError(f"{printable(path)}: no such file or folder") from None
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    return Listing(tuple(files), unusable)


def holds_dicom(path: Path) -> bool:
    """Whether a folder has DICOM files, in itself or in a folder in it, and no image right in it."""
    path = Path(path)
    if not path.is_dir() or list_images(path).unusable:
        return False
    if any(image_stem(entry) for entry in path.iterdir()):
        return False
    for entry in path.rglob("*"):
        is_named = entry.suffix.lower() in DICOM_SUFFIXES
        if not entry.name.startswith(".") and entry.is_file() and (is_named or begins_as_dicom(entry)):
            return True
    return False


def begins_as_dicom(path: Path) -> bool:
    """Whether a file has the letters DICM behind a preamble of 128 bytes, as every DICOM file does."""
    try:
        with path.open("rb") as stream:
            stream.seek(DICOM_PREAMBLE)
            return stream.read(4) == b"DICM"
    except OSError:
        return False


def _unusable_because(path: Path) -> str | None:
    """Why what is called like an image cannot be one; None where it can, or is not called so."""
    as_image = _with_read_ending(path)
    if image_stem(as_image) is None:
        return None
    cause = None
    if path.is_symlink() and not path.exists():
        cause = f"is a link to {printable(path.readlink())}, which is not there; fetch the file itself"
    elif path.is_dir():
        # Called like another format, it may be anything.
        cause = "a folder, not an image; move the file out of it" if as_image == path else None
    elif not path.is_file():
        cause = "not a file"
    elif not is_printable(path):
        cause = NOT_UTF8
    elif as_image != path:
        endings = ", ".join(IMAGE_SUFFIXES)
        cause = f"a format that is not read; convert it to one of {endings}"
    return cause


def _with_read_ending(path: Path) -> Path:
    """`path` with .nii.gz in place of the ending of an image format that is not read."""
    lowered = path.name.lower()
    for ending in UNREAD_SUFFIXES:
        if lowered.endswith(ending):
            stem = path.name[: -len(ending)]
            return path.with_name(f"{stem}.nii.gz")
    return path


def older_mask(image_path: Path, mask_path: Path) -> str:
    """What is to be added about a mask that is there already, for an image that gets none; empty where there is none.

    It stays, but nobody should take it for this run's.
    """
    if not mask_path.exists():
        return ""
    # Beside its image it may be an expert's label.
    if mask_path.parent.samefile(image_path.parent):
        return ""
    return f"; {printable(mask_path)} is of an earlier run"


def masks_of_others(output_dir: Path, selection: Selection, edition: Edition) -> list[Path]:
    """Masks in the folder of masks that belong to no image of this run: an earlier one's, which nobody should upload.

    Beside the images, where labels may lie, nothing is told.
    """
    output_dir = Path(output_dir)
    own = {case.mask_path.name for case in selection.cases}
    for case in selection.cases:
        if case.image_path.parent.samefile(output_dir):
            return []
    others = []
    for path in sorted(output_dir.iterdir()):
        is_mask = label_case(path, edition) is not None and not path.name.startswith(".")
        if is_mask and path.name not in own:
            others.append(path)
    return others


def _names_of(paths: list[Path]) -> str:
    """Names of files or folders, for a message."""
    return ", ".join(printable(Path(path.name)) for path in paths)


def _nothing_to_segment(path: Path, files: list[Path]) -> str:
    """Why there is nothing to segment at `path`, which holds `files`, and what to name in its place."""
    endings = ", ".join(IMAGE_SUFFIXES)
    if path.is_file():
        return f"not a T2 image by its name; expected one that ends in {endings}, not T1 or a label"
    if files:
        return f"none of its {len(files)} files is an image to segment (T1 images and labels, by name, are not)"
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir())
    if folders:
        return f"the folder holds no image ({endings}); name one of its folders: {_names_of(folders[:5])}"
    return f"the folder holds no image ({endings})"


def _image_folders(images_dir: Path) -> list[Path]:
    """Folders of images: those under `images_dir`, and itself where an image lies right in it."""
    try:
        entries = sorted(entry for entry in images_dir.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{images_dir}: cannot be read ({error.strerror})") from error
    folders = [entry for entry in entries if entry.is_dir()]
    if len(folders) < len(entries):
        return [images_dir, *folders]
    return folders


def _listed_folders(listing: Path) -> list[Path]:
    """Folders of the images that a job's list of inputs names."""
    places = []
    try:
        for item in parse_json(listing.read_bytes()):
            # The platform calls an input a socket today, and called it an interface before.
            socket = item.get("socket") or item["interface"]
            place = socket.get("relative_path")
            if not place:
                place = f"{PLATFORM_IMAGES}/{socket['slug']}"
            # Some lists do not tell the kind; images have a folder of their own.
            by_place = "Image" if place.startswith(f"{PLATFORM_IMAGES}/") else "Value"
            if socket.get("super_kind", by_place) == "Image":
                places.append(Path(place))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise InputError(f"{listing}: not a list of items with a socket or an interface ({cause})") from error
    for place in places:
        # No file is called with a NUL, and asking for one is an error of its own.
        if place.is_absolute() or ".." in place.parts or "\0" in str(place):
            raise InputError(f"{listing}: {str(place)!r:.80} lies outside {listing.parent}")
    return [listing.parent / place for place in places]


def _refuse_second_output(mask_path: Path) -> None:
    """Refuse a folder that holds something beside the one mask: the platform would not know which to take."""
    folder = mask_path.parent
    others = sorted(path for path in folder.glob("*") if path.name != mask_path.name)
    if others:
        raise InputError(f"{folder}: must hold the one mask, but already holds {_names_of(others)}")
