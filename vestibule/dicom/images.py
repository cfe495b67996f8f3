"""A DICOM series as one volume: slices sorted by their position, and what would be misread silently refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from vestibule.dicom.headers import Series, find_series, read_dataset
from vestibule.errors import InputError
from vestibule.volume import MAX_VOXELS, Geometry, Volume

SAME_DIRECTION = 1e-3
"""By how much the cosines of two slices' rows and columns may differ: writers round."""
SPACING_ERROR = 0.02
"""Share of the distance between slices by which one may lie off its place: scanners round positions to 0.01 mm."""
SAME_POSITION = 0.05
"""Share of the distance between slices below which two lie in one place."""
TILT_DEGREES = 0.5
"""Angle between the stack's direction and the normal of its slices from which the gantry was tilted."""
GROUPS = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
)
"""Functional groups of enhanced MR that place a frame: each frame's own, or one for all."""
GREYSCALE = ("MONOCHROME1", "MONOCHROME2")
KEPT_TYPES = ("uint8", "int8", "uint16", "int16")
"""Stored values of these types stay as they are, which packs in half the time that float32 takes."""


@dataclass(frozen=True)
class Frame:
    """One slice of a series: a file, or a frame of an enhanced MR file."""

    path: Path
    number: int
    """Of the frame in its file, from 0."""
    position_xyz: np.ndarray
    """Centre of the first pixel in the patient, mm (3,)."""
    rows_xyz: np.ndarray
    """Direction along a row of pixels, x of the grid (3,)."""
    columns_xyz: np.ndarray
    """Direction along a column, y of the grid (3,)."""
    spacing_yx: tuple[float, float]
    slope: float
    intercept: float
    instance: str
    """SOP instance UID of its file."""

    @property
    def normal_xyz(self) -> np.ndarray:
        """Direction across slices (3,)."""
        return np.cross(self.rows_xyz, self.columns_xyz)


@dataclass(frozen=True)
class Stack:
    """A series as a volume, with the frame that each slice came from."""

    volume: Volume
    """(Z, Y, X), the first slice lowest along the normal of the slices: of one of `KEPT_TYPES`, or float32."""
    frames: tuple[Frame, ...]
    """In the order of z."""

    def without_voxels(self) -> Stack:
        """The same place and files with voxels that take no memory."""
        nothing = np.broadcast_to(np.float32(0), self.volume.voxels.shape)
        return replace(self, volume=self.volume.with_voxels(nothing))


def read_stack(series: Series) -> Stack:
    """Read a series of MR images.

    Slices are sorted by their position; a file that is there twice counts once. Stored values are rescaled.

    Raises InputError, naming file and cause, for slices of several directions or sizes, a tilted gantry, slices that
    are missing, doubled or unevenly spaced, colour, and pixels that cannot be decoded.
    """
    if not series.is_image:
        raise InputError(f"{series.title} holds no MR images")
    frames: list[Frame] = []
    pixels: dict[tuple[Path, int], np.ndarray] = {}
    instances: set[str] = set()
    for path in series.files:
        dataset = read_dataset(path)
        instance = str(dataset.get("SOPInstanceUID", ""))
        # Exports often hold a file twice.
        if instance in instances:
            continue
        instances.add(instance)
        own = _frames_of(dataset, path)
        images = _pixels_of(dataset, path)
        if len(images) < len(own):
            raise InputError(f"{path}: tells of {len(own)} frames and holds {len(images)}")
        for frame in own:
            pixels[path, frame.number] = images[frame.number]
        frames += own

    _check_alike(frames, series)
    ordered = _sorted(frames, series)
    step_xyz = _step(ordered, series)
    slices = [pixels[frame.path, frame.number] for frame in ordered]
    sizes = {one.shape for one in slices}
    if len(sizes) > 1:
        raise InputError(f"{series.title} has slices of several sizes, {sorted(sizes)}")
    voxels = _rescaled(slices, ordered)
    geometry = _geometry(ordered, step_xyz, voxels.shape)
    volume = Volume(voxels, geometry, str(series.where))
    return Stack(volume, tuple(ordered))


def read_set(folder: Path) -> Volume:
    """The one series of MR images in a folder, whatever it is called: an image set as the platform brings it.

    Raises InputError where there is none, where there are several, and for all that `read_stack` refuses.
    """
    found = find_series(folder)
    if found.problems:
        # Without the slice that it may be, the volume would be another.
        raise InputError(found.problems[0])
    belonging = {path for one in found.series for path in one.files}
    for path in sorted(folder.rglob("*.dcm")):
        if path not in belonging:
            raise InputError(f"{path}: belongs to no series; its header is damaged")
    images = [one for one in found.series if one.is_image]
    if len(images) != 1:
        named = ", ".join(one.uid for one in images) or "none"
        raise InputError(f"{folder}: expected one series of MR images, found {len(images)} ({named})")
    return read_stack(images[0]).volume


def _rescaled(slices: Sequence[np.ndarray], frames: Sequence[Frame]) -> np.ndarray:
    """Stored values (Y, X) of each slice as voxels (Z, Y, X) of the image."""
    stored = np.stack(slices)
    slopes = np.array([frame.slope for frame in frames], dtype=np.float32)
    intercepts = np.array([frame.intercept for frame in frames], dtype=np.float32)
    is_as_stored = (slopes == 1).all() and (intercepts == 0).all()
    if is_as_stored and stored.dtype.name in KEPT_TYPES:
        return stored
    voxels = stored.astype(np.float32)
    voxels *= slopes[:, None, None]
    voxels += intercepts[:, None, None]
    return voxels


def _frames_of(dataset: Dataset, path: Path) -> list[Frame]:
    """The frames of a file: one of an MR image, many of an enhanced one."""
    instance = str(dataset.get("SOPInstanceUID", ""))
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        return [_frame(dataset, path, 0, instance)]

    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    frames = []
    for number, own in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        # As if each frame were a file of its own.
        flat = Dataset()
        for groups in (shared[0], own):
            for name in GROUPS:
                if groups.get(name):
                    flat.update(groups[name][0])
        frames.append(_frame(flat, path, number, instance))
    return frames


def _frame(header: Dataset, path: Path, number: int, instance: str) -> Frame:
    """A frame by the elements that place it."""
    cosines = _numbers(header, "ImageOrientationPatient", 6, path)
    # The first is the distance between rows.
    spacing_y, spacing_x = _numbers(header, "PixelSpacing", 2, path)
    if spacing_y <= 0 or spacing_x <= 0:
        raise InputError(f"{path}: PixelSpacing must be above 0, got {spacing_y:g} and {spacing_x:g} mm")
    return Frame(
        path=path,
        number=number,
        position_xyz=_numbers(header, "ImagePositionPatient", 3, path),
        rows_xyz=cosines[:3],
        columns_xyz=cosines[3:],
        spacing_yx=(float(spacing_y), float(spacing_x)),
        slope=_number(header, "RescaleSlope", 1.0, path),
        intercept=_number(header, "RescaleIntercept", 0.0, path),
        instance=instance,
    )


def _number(header: Dataset, key: str, default: float, path: Path) -> float:
    """A number of a header, `default` where it is not there. Raises InputError where it is none."""
    if header.get(key) is None:
        return default
    try:
        return float(header[key].value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: expected a number in {key}, got {header[key].value!r}") from error


def _numbers(dataset: Dataset, key: str, count: int, path: Path) -> np.ndarray:
    """So many numbers of a header. Raises InputError where they are not there or not finite."""
    values = dataset.get(key)
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise InputError(f"{path}: expected {count} numbers in {key}, got {values}")
    return numbers


def _pixels_of(dataset: Dataset, path: Path) -> np.ndarray:
    """Stored values (frames, Y, X) of a file. Raises InputError where they cannot be decoded."""
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric not in GREYSCALE:
        raise InputError(f"{path}: expected grey values, got {photometric or 'no pixels'}")
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    # Before they are unpacked: a few kilobytes may promise any number.
    sides = [dataset.get(key) or 1 for key in ("Rows", "Columns", "NumberOfFrames")]
    if np.prod(sides, dtype=float) > MAX_VOXELS:
        raise InputError(f"{path}: {' x '.join(map(str, sides))} pixels are more than the {MAX_VOXELS} that are read")
    try:
        pixels = dataset.pixel_array
    except Exception as error:
        # pydicom's decoders raise what their libraries do.
        name = getattr(syntax, "name", syntax)
        cause = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}: its pixels cannot be decoded ({name}: {cause}); install a decoder (pylibjpeg with "
            "pylibjpeg-openjpeg and pylibjpeg-libjpeg), or convert the files to explicit little endian"
        ) from error
    if photometric == "MONOCHROME1":
        # Black is the largest value that its bits can hold, in every slice the same.
        bits = int(dataset.BitsStored) - int(dataset.PixelRepresentation)
        pixels = 2**bits - 1 - pixels.astype(np.int64)
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels


def _check_alike(frames: Sequence[Frame], series: Series) -> None:
    first = frames[0]
    for frame in frames:
        turned_rows = np.abs(frame.rows_xyz - first.rows_xyz).max()
        turned_columns = np.abs(frame.columns_xyz - first.columns_xyz).max()
        if max(turned_rows, turned_columns) > SAME_DIRECTION:
            raise InputError(
                f"{series.title} mixes directions: {frame.path.name} lies otherwise "
                f"than {first.path.name}; keep the files of one direction"
            )
        if not np.allclose(frame.spacing_yx, first.spacing_yx, rtol=1e-3):
            raise InputError(
                f"{series.title} mixes pixel spacings: {frame.path.name} has "
                f"{frame.spacing_yx} mm, {first.path.name} {first.spacing_yx} mm"
            )
    right_angle = abs(float(first.rows_xyz @ first.columns_xyz))
    length = abs(float(np.linalg.norm(first.normal_xyz)) - 1)
    if max(right_angle, length) > SAME_DIRECTION:
        raise InputError(f"{first.path}: rows and columns are not at right angles, or no unit vectors")


def _sorted(frames: Sequence[Frame], series: Series) -> list[Frame]:
    """Frames by their position along the normal. Raises InputError where slices are doubled, missing or uneven."""
    if len(frames) < 2:
        raise InputError(f"{series.title} has {len(frames)} slice; expected a volume")
    normal = frames[0].normal_xyz
    positions = np.stack([frame.position_xyz for frame in frames])
    of_each = positions @ normal  # mm
    order = np.argsort(of_each, kind="stable")
    ordered = [frames[index] for index in order]
    heights = of_each[order]
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    if usual <= 0:
        raise InputError(f"{series.title} has most slices in one place")

    for index, gap in enumerate(gaps):
        lower, upper = ordered[index], ordered[index + 1]
        between = f"{lower.path.name} and {upper.path.name}"
        if gap < SAME_POSITION * usual:
            raise InputError(f"{series.title} has two slices in one place, {between}; keep the files of one volume")
        missing = gap / usual - 1
        if missing > 1 - 2 * SPACING_ERROR:
            raise InputError(f"{series.title} lacks about {round(missing)} slices between {between}")
    expected = np.linspace(heights[0], heights[-1], len(heights))
    off = np.abs(heights - expected)
    worst = int(off.argmax())
    if off[worst] > SPACING_ERROR * usual:
        raise InputError(
            f"{series.where}: slices of series {series.description!r} are unevenly spaced: {ordered[worst].path.name} "
            f"lies {off[worst]:.2f} mm off its place"
        )
    return ordered


def _step(ordered: Sequence[Frame], series: Series) -> np.ndarray:
    """The way from a slice to the next (3,), mm. Raises InputError where it leaves the normal: a tilted gantry."""
    way = ordered[-1].position_xyz - ordered[0].position_xyz
    step = way / (len(ordered) - 1)
    cosine = float(step @ ordered[0].normal_xyz) / float(np.linalg.norm(step))
    tilt = float(np.degrees(np.arccos(min(1.0, cosine))))
    if tilt > TILT_DEGREES:
        raise InputError(
            f"{series.title} was taken with the gantry tilted by {tilt:.1f} degrees; "
            "resample it to a grid with right angles first"
        )
    return step


def _geometry(ordered: Sequence[Frame], step_xyz: np.ndarray, size_zyx: tuple[int, ...]) -> Geometry:
    first = ordered[0]
    # At right angles to the last digit, which writers round.
    rows = first.rows_xyz / np.linalg.norm(first.rows_xyz)
    normal = first.normal_xyz / np.linalg.norm(first.normal_xyz)
    columns = np.cross(normal, rows)
    directions = np.stack([rows, columns, normal], axis=1)
    spacing_y, spacing_x = first.spacing_yx
    spacing_z = float(step_xyz @ first.normal_xyz)
    size_z, size_y, size_x = size_zyx
    return Geometry(
        size_zyx=(size_z, size_y, size_x),
        spacing_zyx=(spacing_z, spacing_y, spacing_x),
        origin_xyz=tuple(first.position_xyz.tolist()),
        direction=tuple(directions.ravel().tolist()),
    )
