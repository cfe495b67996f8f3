"""Volumes: voxels (Z, Y, X) float32 with their geometry. The only place where SimpleITK, nibabel and arrays meet."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from vestibule.boxes import bounding_box
from vestibule.editions import IMAGE_SUFFIXES, image_stem
from vestibule.errors import InputError
from vestibule.interpolation import REACH, along_axes, axis_weights
from vestibule.nifti import MAX_AXIS_ERROR, check_header, check_length, nifti_voxels, write_nifti

MAX_VOXELS = 512 * 1024 * 1024
"""Largest image that is read. A full-size crossMoDA volume has 31 million voxels."""
MAX_EXTENT_MM = 2000.0
"""Largest side of an image in mm; a spacing that is off by ten exceeds it."""
PARALLEL_WITHIN = 1e-3
"""Voxels by which a grid's far corner may be off where its axes are taken for those of another grid."""


@dataclass(frozen=True)
class Geometry:
    """Where a voxel grid lies in the patient, in ITK's LPS millimetres."""

    size_zyx: tuple[int, int, int]
    spacing_zyx: tuple[float, float, float]
    """Voxel spacing in mm."""
    origin_xyz: tuple[float, float, float]
    """Centre of the first voxel in mm."""
    direction: tuple[float, ...]
    """Row-major 3 x 3 matrix: its columns are the patient directions of x, y and z."""

    @property
    def matrix(self) -> np.ndarray:
        """Direction as an array (3, 3)."""
        return np.asarray(self.direction, dtype=float).reshape(3, 3)

    def to_patient(self, index_xyz: np.ndarray) -> np.ndarray:
        """Patient coordinates in mm of continuous indices (..., 3), in the order x, y, z."""
        scaled = np.asarray(index_xyz, dtype=float) * np.asarray(self.spacing_zyx[::-1])
        return scaled @ self.matrix.T + np.asarray(self.origin_xyz)

    def to_index(self, patient_xyz: np.ndarray) -> np.ndarray:
        """Continuous indices (..., 3), in the order x, y, z, of patient coordinates in mm: undoes `to_patient`."""
        offset = np.asarray(patient_xyz, dtype=float) - np.asarray(self.origin_xyz)
        return offset @ self.matrix / np.asarray(self.spacing_zyx[::-1])

    def corners(self) -> np.ndarray:
        """Patient coordinates (8, 3) in mm of the grid's corner voxels."""
        return self.to_patient(np.array(np.meshgrid(*[(0, n - 1) for n in self.size_zyx[::-1]])).reshape(3, -1).T)

    def part(self, box_zyx: tuple[slice, slice, slice]) -> Geometry:
        """The grid of the voxels in `box_zyx`, slices with a start and a stop within the grid."""
        first = np.array([axis.start for axis in box_zyx[::-1]])
        size = tuple(axis.stop - axis.start for axis in box_zyx)
        return replace(self, size_zyx=size, origin_xyz=tuple(self.to_patient(first).tolist()))

    def box_around(self, other: Geometry, margin_zyx: tuple[int, int, int]) -> tuple[slice, slice, slice] | None:
        """This grid's voxels that `other` covers, and a margin of voxels; None where they are apart."""
        index_zyx = self.to_index(other.corners())[:, ::-1]
        low = np.maximum(np.floor(index_zyx.min(axis=0) + 1e-6).astype(int) - margin_zyx, 0)
        high = np.minimum(np.ceil(index_zyx.max(axis=0) - 1e-6).astype(int) + 1 + margin_zyx, self.size_zyx)
        if (low >= high).any():
            return None
        return tuple(slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True))

    def describes(self, other: Geometry, tolerance_mm: float = 1e-4) -> bool:
        """Whether `other` has the same size and its corners lie within `tolerance_mm` of this grid's."""
        if self.size_zyx != other.size_zyx:
            return False
        return bool(np.abs(self.corners() - other.corners()).max() <= tolerance_mm)


@dataclass(frozen=True)
class Volume:
    """Voxels (Z, Y, X) and their geometry."""

    voxels: np.ndarray
    geometry: Geometry
    name: str = "image"
    """What messages call it: the file that it was read from."""

    def __post_init__(self) -> None:
        if self.voxels.shape != self.geometry.size_zyx:
            raise ValueError(f"voxels must have the geometry's size {self.geometry.size_zyx}, got {self.voxels.shape}")

    def with_voxels(self, voxels: np.ndarray) -> Volume:
        """Other voxels (Z, Y, X) of the same shape in the same place."""
        return replace(self, voxels=voxels)

    def part(self, box_zyx: tuple[slice, slice, slice]) -> Volume:
        """The voxels in `box_zyx`, slices with a start and a stop within the grid, where they are."""
        return replace(self, voxels=self.voxels[box_zyx], geometry=self.geometry.part(box_zyx))


def read_volume(path: Path) -> Volume:
    """Read a 3-D image as float32 voxels (Z, Y, X), refusing what would be misread silently.

    Raises InputError, naming the file and the cause, for a file that is missing, truncated, not an image, not 3-D,
    not scalar, of zero or sheared geometry, or that holds NaN or infinity.
    """
    path = Path(path)
    reader = _open_image(path)
    voxels = nifti_voxels(path) if _is_nifti(path) else _itk_voxels(path, reader)
    finite = np.isfinite(voxels)
    if not finite.all():
        bad = voxels.size - int(finite.sum())
        raise InputError(f"{path}: {bad} voxels are NaN or infinite; expected finite intensities")
    return Volume(voxels, _geometry_of(reader), str(path))


def read_header(path: Path) -> tuple[Geometry, str]:
    """Where the image at `path` lies and how it stores a voxel (`8-bit unsigned integer`), without reading its voxels.

    Raises InputError as `read_volume` does, but for the voxels.
    """
    path = Path(path)
    reader = _open_image(path)
    if _is_nifti(path):
        check_length(path)
    return _geometry_of(reader), sitk.GetPixelIDValueAsString(reader.GetPixelID())


def read_scan(path: Path) -> Volume:
    """Read an image to segment: as `read_volume`, and it must not be constant. Raises InputError."""
    volume = read_volume(path)
    if volume.voxels.min() == volume.voxels.max():
        raise InputError(f"{path}: every voxel is {volume.voxels.flat[0]:g}; expected an image with contrast")
    return volume


def read_labels(path: Path) -> Volume:
    """Read a mask as integers (Z, Y, X) uint8: values stored through a NIfTI slope (0.99999...) are rounded.

    Raises InputError where a value is more than 0.01 from an integer, or outside 0 to 255.
    """
    volume = read_volume(path)
    labels = np.zeros(volume.voxels.shape, dtype=np.uint8)
    box = bounding_box(volume.voxels)
    if box is not None:
        values = volume.voxels[box]
        rounded = np.rint(values)
        if np.abs(values - rounded).max() > 0.01 or rounded.min() < 0 or rounded.max() > 255:
            raise InputError(f"{path}: label values must be integers from 0 to 255")
        labels[box] = rounded
    return volume.with_voxels(labels)


def write_volume(path: Path, volume: Volume, like: Path | None = None) -> None:
    """Write `volume` in its own type (uint8 stays uint8, no slope), whole or not at all. Creates parent folders.

    `like` names the image that the voxels belong to: where both are NIfTI, the fields that place it are copied bit for
    bit, so that no reader can see the two in different places. Raises InputError where the ending is not one of an
    image or the disk refuses.
    """
    path = Path(path)
    stem = image_stem(path)
    if stem is None:
        raise InputError(f"{path}: an image's name ends in one of {', '.join(IMAGE_SUFFIXES)}")
    partial = path.with_name(f".{stem}.partial{path.name[len(stem) :]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _is_nifti(path):
            write_nifti(partial, volume.voxels, _affine_of(volume.geometry), like)
        else:
            sitk.WriteImage(_image_of(volume), str(partial), useCompression=True)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be written ({_cause(error)})") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def reorient(volume: Volume, axes: str = "LPS") -> Volume:
    """`volume` with its axes permuted and flipped so that x, y, z run nearest to `axes`; no voxel changes.

    A volume that lies so already is returned itself.
    """
    if sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(volume.geometry.direction) == axes:
        return volume
    return replace(from_image(sitk.DICOMOrient(_image_of(volume), axes)), name=volume.name)


def resample(volume: Volume, geometry: Geometry, outside: float | None = None, smooth: bool = True) -> Volume:
    """`volume` on the grid of `geometry`, linearly interpolated, float32.

    Where the new grid is coarser and `smooth` is set, the image is first smoothed by a Gaussian of the lost
    resolution, so that small structures are averaged and not skipped. Voxels outside the image get `outside`, by
    default its minimum.
    """
    default = float(volume.voxels.min()) if outside is None else outside
    sigmas = _smoothing_mm(volume.geometry, geometry) if smooth else (0.0, 0.0, 0.0)
    aligned = _along_axes_of(geometry, volume)
    if aligned is None:
        return Volume(_resampled_freely(volume, geometry, sigmas, default), geometry, volume.name)
    voxels, order, positions = aligned
    weights = tuple(
        axis_weights(places, size, sigmas[axis] / volume.geometry.spacing_zyx[axis])
        for places, size, axis in zip(positions, voxels.shape, order, strict=True)
    )
    return Volume(along_axes(voxels, weights, default), geometry, volume.name)


def _along_axes_of(geometry: Geometry, volume: Volume) -> tuple[np.ndarray, list[int], list[np.ndarray]] | None:
    """What lies along z, y, x of `geometry`: voxels of `volume` so transposed, the axes they were, and its positions.

    Positions are those of the grid's planes in voxels of `volume`. None where the axes are not parallel.
    """
    size = np.asarray(geometry.size_zyx)
    first = volume.geometry.to_index(geometry.to_patient(np.zeros(3)))[::-1]
    steps = volume.geometry.to_index(geometry.to_patient(np.eye(3)[::-1]))[:, ::-1] - first
    order = [int(axis) for axis in np.abs(steps * size[:, None]).argmax(axis=1)]
    along = steps[range(3), order]
    steps[range(3), order] = 0
    if sorted(order) != [0, 1, 2] or np.abs(steps * size[:, None]).max() > PARALLEL_WITHIN:
        return None
    positions = [first[axis] + step * np.arange(n) for axis, step, n in zip(order, along, size, strict=True)]
    return volume.voxels.transpose(order), order, positions


def _resampled_freely(
    volume: Volume, geometry: Geometry, sigmas: tuple[float, float, float], default: float
) -> np.ndarray:
    in_voxels = [sigma / step for sigma, step in zip(sigmas, volume.geometry.spacing_zyx, strict=True)]
    box = volume.geometry.box_around(geometry, tuple(2 + int(np.ceil(REACH * sigma)) for sigma in in_voxels))
    if box is None:
        return np.full(geometry.size_zyx, default, dtype=np.float32)
    seen = volume.part(box)
    smoothing = tuple(
        axis_weights(np.arange(n), n, sigma) for n, sigma in zip(seen.voxels.shape, in_voxels, strict=True)
    )
    image = _image_of(seen.with_voxels(along_axes(seen.voxels, smoothing, default)))
    resampled = sitk.Resample(
        image,
        geometry.size_zyx[::-1],
        sitk.Transform(),
        sitk.sitkLinear,
        geometry.origin_xyz,
        geometry.spacing_zyx[::-1],
        geometry.direction,
        default,
    )
    return sitk.GetArrayFromImage(resampled)


def to_image(volume: Volume) -> sitk.Image:
    """`volume` as a SimpleITK image, for libraries that want one."""
    return _image_of(volume)


def from_image(image: sitk.Image) -> Volume:
    """A SimpleITK image as a volume. Raises ValueError where it is not 3-D and scalar."""
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(
            f"expected a scalar 3-D image, got {image.GetDimension()}-D with "
            f"{image.GetNumberOfComponentsPerPixel()} components"
        )
    return Volume(sitk.GetArrayFromImage(image), _geometry_of(image))


def _smoothing_mm(old: Geometry, new: Geometry) -> tuple[float, float, float]:
    """Standard deviations along the old grid's z, y, x of the blur that the new grid's coarser voxels stand for."""
    reach = np.abs(old.matrix.T @ (new.matrix * np.asarray(new.spacing_zyx[::-1]))).max(axis=1)[::-1]
    return tuple(
        0.5 * float(np.sqrt(wanted**2 - step**2)) / float(np.sqrt(2 * np.log(2))) if wanted > 1.01 * step else 0.0
        for wanted, step in zip(reach, old.spacing_zyx, strict=True)
    )


def _geometry_of(image: sitk.Image | sitk.ImageFileReader) -> Geometry:
    return Geometry(
        size_zyx=tuple(image.GetSize()[::-1]),
        spacing_zyx=tuple(image.GetSpacing()[::-1]),
        origin_xyz=tuple(image.GetOrigin()),
        direction=tuple(image.GetDirection()),
    )


def _image_of(volume: Volume) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.voxels))
    image.SetSpacing(volume.geometry.spacing_zyx[::-1])
    image.SetOrigin(volume.geometry.origin_xyz)
    image.SetDirection(volume.geometry.direction)
    return image


def _affine_of(geometry: Geometry) -> np.ndarray:
    """NIfTI's affine (4, 4) of xyz voxel indices: RAS where ITK has LPS."""
    affine = np.eye(4)
    affine[:3, :3] = geometry.matrix * np.asarray(geometry.spacing_zyx[::-1])
    affine[:3, 3] = geometry.origin_xyz
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _is_nifti(path: Path) -> bool:
    return not path.name.endswith(".mha")


def _open_image(path: Path) -> sitk.ImageFileReader:
    """A reader that holds the header of the image at `path`, after every check that needs no more."""
    if not path.is_file():
        raise InputError(f"{path}: {'a folder, not an image' if path.is_dir() else 'no such file'}")
    if image_stem(path) is None:
        raise InputError(f"{path}: not an image; expected a name that ends in {', '.join(IMAGE_SUFFIXES)}")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: cannot be read (permission denied)")
    if _is_nifti(path):
        check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path}: not an image, or its header is damaged ({_cause(error)})") from error
    _check_shape(path, reader)
    return reader


def _itk_voxels(path: Path, reader: sitk.ImageFileReader) -> np.ndarray:
    try:
        voxels = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be read, its voxels are truncated or damaged") from error
    with np.errstate(over="ignore"):
        return voxels.astype(np.float32, copy=False)


def _check_shape(path: Path, reader: sitk.ImageFileReader) -> None:
    size, spacing = reader.GetSize(), reader.GetSpacing()
    if len(size) != 3:
        raise InputError(f"{path}: expected a 3-D image, got {len(size)}-D of size {tuple(size)} (x, y, z)")
    if reader.GetNumberOfComponents() != 1:
        raise InputError(f"{path}: expected one value a voxel, got {reader.GetNumberOfComponents()}")
    if min(size) < 2:
        raise InputError(f"{path}: expected a 3-D image, got a single slice of size {tuple(size)} (x, y, z)")
    if np.prod(size, dtype=float) > MAX_VOXELS:
        raise InputError(f"{path}: {tuple(size)} voxels are more than the {MAX_VOXELS} that are read")
    if not all(0 < step < np.inf for step in spacing):
        raise InputError(f"{path}: spacing must be positive, got {tuple(spacing)} mm")
    extent = [n * step for n, step in zip(size, spacing, strict=True)]
    if max(extent) > MAX_EXTENT_MM:
        raise InputError(f"{path}: sides of {[round(e) for e in extent]} mm; is the spacing {tuple(spacing)} right?")
    axes = np.asarray(reader.GetDirection()).reshape(3, 3)
    if not np.abs(axes.T @ axes - np.eye(3)).max() <= MAX_AXIS_ERROR:
        raise InputError(f"{path}: the axes are sheared or scaled, not unit vectors at right angles; resample it first")


def _cause(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].split("): ")[-1] if lines else type(error).__name__
