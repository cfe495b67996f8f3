"""The loop over cases: each image read once, segmented and written. The command and `process.py` both go through it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vestibule.editions import Edition, get_edition
from vestibule.errors import InputError
from vestibule.inputs import Case, older_mask
from vestibule.memory import memory_shortage
from vestibule.screening import screen_prediction
from vestibule.volume import Volume, read_scan, write_volume
from vestibule.weights import Bundle

logger = logging.getLogger(__name__)

Report = Callable[[Case, str | None, tuple[str, ...]], None]
"""Told of a case, the cause where it has no mask, and what speaks against its mask."""


@dataclass
class Outcome:
    """What became of a batch."""

    written: list[Case] = field(default_factory=list)
    failures: list[tuple[Case, str]] = field(default_factory=list)
    """Cases without a mask, each with one line that names the file and the cause."""
    warnings: list[tuple[Case, tuple[str, ...]]] = field(default_factory=list)
    """Cases whose mask was written and is likely to be wrong, each with the reasons."""


def predict_cases(
    run: Callable[[Volume], Volume],
    cases: Iterable[Case],
    edition: Edition,
    report: Report = lambda case, failure, warnings: None,
) -> Outcome:
    """Segment `cases` one after the other; one that fails loses no other.

    What speaks against an image or its mask, as in `vestibule.screening`, is warned of and changes no mask.

    Args:
        run: Gives the uint8 mask of a volume, on its grid.
        cases: Images and the places of their masks.
        edition: Whose labels the masks carry.
        report: Called after each case, with the failure's line or None, and with what speaks against the mask.

    Returns:
        What became of them.
    """
    outcome = Outcome()
    for case in cases:
        failure = None
        reasons: tuple[str, ...] = ()
        try:
            reasons = predict_case(run, case, edition)
            outcome.written.append(case)
            if reasons:
                outcome.warnings.append((case, reasons))
                logger.warning("%s: its mask may be wrong: %s", case.image_path, "; ".join(reasons))
        except InputError as error:
            failure = " ".join(str(error).split()) + older_mask(case.image_path, case.mask_path)
            outcome.failures.append((case, failure))
            logger.debug("%s failed", case.name, exc_info=True)
        report(case, failure, reasons)
    return outcome


def predict_case(run: Callable[[Volume], Volume], case: Case, edition: Edition) -> tuple[str, ...]:
    """Read one image, segment it with `run` and write its mask whole, on exactly the image's grid.

    Args:
        run: Gives the uint8 mask of a volume, on its grid.
        case: The image and the place of its mask.
        edition: Whose labels the mask carries.

    Returns:
        What speaks against the image or its mask; nothing where nothing does.

    Raises:
        InputError: Whatever went wrong with this case, with the file and the cause.
    """
    _keep_inputs(case)
    volume = _read_image(case.image_path)
    try:
        mask = run(volume)
    except InputError as error:
        raise InputError(f"{case.image_path}: {error}") from error
    except Exception as error:  # One image that a library chokes on must not end the batch.
        cause = memory_shortage(error)
        if cause is None:
            cause = type(error).__name__
            if str(error):
                cause += f": {error}"
        raise InputError(f"{case.image_path}: segmentation failed ({cause})") from error
    _check_mask(case, mask, volume, edition)
    write_volume(case.mask_path, mask, like=case.image_path)
    reasons = screen_prediction(volume, mask, edition, case.mask_path.name)
    return tuple(reasons)


def _read_image(path: Path) -> Volume:
    """The image of a file, or of a folder that holds a DICOM image set. Raises InputError where it cannot be read."""
    if not path.is_dir():
        return read_scan(path)
    try:
        from vestibule.dicom.images import read_set
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path}: holds DICOM files, and the package {error.name} is not installed; build the image with "
            "./build.sh --dicom, or run: pip install 'vestibule[dicom]'"
        ) from error
    with tempfile.TemporaryDirectory(prefix="vestibule-") as scratch:
        # As a file it goes through every check of an image.
        image = Path(scratch) / f"{path.name}.mha"
        write_volume(image, read_set(path))
        try:
            volume = read_scan(image)
        except InputError as error:
            cause = str(error).replace(str(image), str(path))
            raise InputError(cause) from error
    return replace(volume, name=str(path))


def failure_message(failures: list[str], total: int) -> str:
    """The last line on stderr: the failure, and how many there were of how many images."""
    if total == 1:
        return failures[0]
    counted = f"{len(failures)} of {total} images have no mask"
    if len(failures) == 1:
        return f"{counted}: {failures[0]}"
    return f"{counted}; the first: {failures[0]}"


def edition_for(bundle: Bundle, given: Edition | None) -> Edition:
    """The edition that was `given`, or the bundle's own. Raises InputError where the two differ in what labels mean."""
    own = get_edition(bundle.manifest["edition"])
    edition = given or own
    if edition.structures != own.structures:
        carried = f"edition {own.year} {own.structures}"
        wanted = f"edition {edition.year} {edition.structures}"
        raise InputError(
            f"{bundle.path}: its masks carry the labels of {carried}, which mean something else in {wanted}"
        )
    return edition


def _keep_inputs(case: Case) -> None:
    """Refuse to write over a file that lay beside the image before: it may be an expert's label."""
    image_path, mask_path = case.image_path, case.mask_path
    if not mask_path.exists():
        return
    # Told by the folders themselves, to which several paths may lead.
    if mask_path.parent.samefile(image_path.parent):
        raise InputError(f"{image_path}: its mask would replace {mask_path.name} beside it; name another OUTPUT")


def _check_mask(case: Case, mask: Volume, volume: Volume, edition: Edition) -> None:
    """Refuse a mask that is not on the image's grid, or whose labels the edition lacks."""
    same_grid = mask.geometry == volume.geometry
    if not same_grid or mask.voxels.dtype != np.uint8:
        raise InputError(f"{case.image_path}: the model gave no uint8 mask on the image's grid; the weights do not fit")
    foreign = edition.foreign_labels(mask.voxels)
    if foreign:
        raise InputError(
            f"{case.image_path}: the mask holds labels {foreign}, edition {edition.year} knows {edition.labels}"
        )
