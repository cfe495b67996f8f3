"""Volumes: voxels (Z, Y, X) with their geometry, read and written. Here alone SimpleITK, nibabel and arrays meet."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from vestibule.boxes import Box, bounding_box
from vestibule.editions import IMAGE_SUFFIXES, image_stem
from vestibule.errors import InputError
from vestibule.files import NOT_UTF8, atomic, is_printable, printable
from vestibule.geometry import Geometry
from vestibule.metaimage import check_metaimage, check_voxels
from vestibule.nifti import MAX_AXIS_ERROR, check_header, check_length, nifti_voxels, write_nifti, write_squared_header

MAX_VOXELS = 512 * 512 * 512
"""Largest image that is read, so that no small file asks for more than 2 GiB of memory. A full-size crossMoDA volume
has 31 million voxels."""
MAX_EXTENT_MM = 2000.0
"""Largest side of an image in mm; a spacing that is off by ten exceeds it."""
MIN_EXTENT_MM = 1.0
"""Longest side of the smallest image or mask in mm; a spacing in metres that is read as mm is below it."""
MIN_SCAN_MM = 30.0
"""Longest side of the smallest image to segment; that of a head whose spacing is off by ten is below it."""
MAX_LABEL_ERROR = 0.01
"""How far a label's value may be off a whole number: some writers store labels through a slope of 0.99999..."""

# ITK tells of odd headers in lines of C++, some of them long after; the checks here say it with the file's name.
sitk.ProcessObject.GlobalWarningDisplayOff()


@dataclass(frozen=True)
class Volume:
    """Voxels (Z, Y, X) and their geometry."""

    voxels: np.ndarray
    geometry: Geometry
    name: str = "image"
    """What messages call it: the file that it was read from."""

    def __post_init__(self) -> None:
        size_zyx = self.geometry.size_zyx
        if self.voxels.shape != size_zyx:
            raise ValueError(f"voxels must have the geometry's size {size_zyx}, got {self.voxels.shape}")

    def with_voxels(self, voxels: np.ndarray) -> Volume:
        """Other voxels (Z, Y, X) of the same shape in the same place."""
        return replace(self, voxels=voxels)

    def part(self, box_zyx: Box) -> Volume:
        """The voxels in `box_zyx`, slices with a start and a stop within the grid, where they are."""
        return replace(
            self,
            voxels=self.voxels[box_zyx],
            geometry=self.geometry.part(box_zyx),
        )


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
        good = int(finite.sum())
        bad = voxels.size - good
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
    else:
        check_voxels(path)
    voxel_type = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    return _geometry_of(reader), voxel_type


def read_scan(path: Path) -> Volume:
    """Read an image to segment: as `read_volume`, large enough for a head, and not constant. Raises InputError."""
    volume = read_volume(path)
    lowest, highest = volume.voxels.min(), volume.voxels.max()
    if lowest == highest:
        raise InputError(f"{path}: every voxel is {lowest:g}; expected an image with contrast")

    spacing_xyz = volume.geometry.spacing_zyx[::-1]
    sides_mm = np.multiply(volume.geometry.size_zyx[::-1], spacing_xyz)
    if sides_mm.max() < MIN_SCAN_MM:
        raise InputError(_odd_size(path, spacing_xyz, sides_mm))
    return volume


def read_labels(path: Path) -> Volume:
    """Read a mask as integers (Z, Y, X) uint8: values stored through a NIfTI slope (0.99999...) are rounded.

    Raises InputError where a value is more than 0.01 from an integer, or outside 0 to 255.
    """
    volume = read_volume(path)
    labels = np.zeros(volume.voxels.shape, dtype=np.uint8)
    # Most of a mask is background, which is right as it is.
    box = bounding_box(volume.voxels)
    if box is None:
        return volume.with_voxels(labels)

    # A slice at a time: three further copies of a large mask would not fit into memory.
    for values, own in zip(volume.voxels[box], labels[box], strict=True):
        rounded = np.rint(values)  # (Y, X)
        error = np.abs(values - rounded).max()
        if error > MAX_LABEL_ERROR or rounded.min() < 0 or rounded.max() > 255:
            raise InputError(f"{path}: label values must be integers from 0 to 255")
        own[:] = rounded
    return volume.with_voxels(labels)


def write_volume(path: Path, volume: Volume, like: Path | None = None) -> None:
    """Write `volume` in its own type (uint8 stays uint8, no slope), whole or not at all. Creates parent folders.

    Args:
        path: Where to; its ending tells the format.
        volume: What to write.
        like: The image that the voxels belong to. Where both are NIfTI, the fields that place it are copied bit for
            bit, so that no reader can see the two in different places.

    Raises:
        InputError: The ending is not one of an image, or the disk refuses.
    """
    path = Path(path)
    if not is_printable(path):
        raise InputError(f"{printable(path)}: {NOT_UTF8}")
    if image_stem(path) is None:
        endings = ", ".join(IMAGE_SUFFIXES)
        raise InputError(f"{path}: an image's name ends in one of {endings}")

    with atomic(path) as partial:
        if _is_nifti(path):
            affine = _affine_of(volume.geometry)
            write_nifti(partial, volume.voxels, affine, like)
            return
        image = to_image(volume)
        try:
            sitk.WriteImage(image, str(partial), useCompression=True)
        except RuntimeError as error:
            cause = _cause(error)
            raise InputError(f"{path}: cannot be written ({cause})") from error


def reorient(volume: Volume, axes: str = "LPS") -> Volume:
    """`volume` with its axes permuted and flipped so that x, y, z run nearest to `axes`; no voxel changes.

    A volume that lies so already is returned itself.
    """
    orientation_of = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines
    if orientation_of(volume.geometry.direction) == axes:
        return volume
    turned = sitk.DICOMOrient(to_image(volume), axes)
    # A SimpleITK image has no name.
    return replace(from_image(turned), name=volume.name)


def to_image(volume: Volume) -> sitk.Image:
    """`volume` as a SimpleITK image, for libraries that want one."""
    geometry = volume.geometry
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.voxels))
    image.SetSpacing(geometry.spacing_zyx[::-1])
    image.SetOrigin(geometry.origin_xyz)
    image.SetDirection(geometry.direction)
    return image


def from_image(image: sitk.Image) -> Volume:
    """A SimpleITK image as a volume. Raises ValueError where it is not 3-D and scalar."""
    dimensions = image.GetDimension()
    components = image.GetNumberOfComponentsPerPixel()
    if dimensions != 3 or components != 1:
        raise ValueError(f"expected a scalar 3-D image, got {dimensions}-D with {components} components")
    return Volume(sitk.GetArrayFromImage(image), _geometry_of(image))


def _geometry_of(image: sitk.Image | sitk.ImageFileReader) -> Geometry:
    """The geometry of a SimpleITK image, or of one whose header a reader has read."""
    return Geometry(
        size_zyx=tuple(image.GetSize()[::-1]),
        spacing_zyx=tuple(image.GetSpacing()[::-1]),
        origin_xyz=tuple(image.GetOrigin()),
        direction=tuple(image.GetDirection()),
    )


def _affine_of(geometry: Geometry) -> np.ndarray:
    """NIfTI's affine (4, 4) of xyz voxel indices: RAS where ITK has LPS."""
    affine = np.eye(4)
    affine[:3, :3] = geometry.matrix * geometry.spacing_xyz
    affine[:3, 3] = geometry.origin_xyz
    lps_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    return lps_to_ras @ affine


def _is_nifti(path: Path) -> bool:
    """Whether a file that is called like an image is a NIfTI file."""
    return not path.name.lower().endswith(".mha")


def _open_image(path: Path) -> sitk.ImageFileReader:
    """A reader that holds the header of the image at `path`, after every check that needs no more."""
    if not is_printable(path):
        raise InputError(f"{printable(path)}: {NOT_UTF8}")
    if path.is_dir():
        raise InputError(f"{path}: a folder, not an image")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if image_stem(path) is None:
        endings = ", ".join(IMAGE_SUFFIXES)
        raise InputError(f"{path}: not an image; expected a name that ends in {endings}")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: cannot be read (permission denied)")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    # Before ITK, which mends a header in silence and reads the files that it names.
    if _is_nifti(path):
        check_header(path)
    else:
        check_metaimage(path)
        # By its ending, or a file of another format would be read by what it holds.
        reader.SetImageIO("MetaImageIO")

    try:
        _read_header(path, reader)
    except RuntimeError as error:
        cause = _cause(error)
        raise InputError(f"{path}: not an image, or its header is damaged ({cause})") from error
    _check_shape(path, reader)
    _check_placement(path, reader)
    return reader


def _read_header(path: Path, reader: sitk.ImageFileReader) -> None:
    """Have `reader` read the header. Of a NIfTI file it reads no more."""
    stem = image_stem(path) or ""
    ending = path.name[len(stem) :]
    if not _is_nifti(path) or ending in (ending.lower(), ending.upper()):
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            if "orthonormal" not in str(error):
                raise
            # Rounded by less than the limit that `check_header` holds it to.
            with tempfile.TemporaryDirectory() as folder:
                squared = Path(folder) / "header.nii"
                write_squared_header(path, squared)
                reader.SetFileName(str(squared))
                reader.ReadImageInformation()
        return
    # ITK knows no .Nii.gz, so it gets another name for the file.
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"image{ending.lower()}"
        link.symlink_to(path.resolve())
        reader.SetFileName(str(link))
        reader.ReadImageInformation()


def _itk_voxels(path: Path, reader: sitk.ImageFileReader) -> np.ndarray:
    """Voxels of what is no NIfTI file, float32 (Z, Y, X)."""
    check_voxels(path)
    # ITK's own conversion: as stored, voxels may take twice the memory. What is too large for float32 becomes infinite,
    # which the caller refuses.
    reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        return sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be read, its voxels are truncated or damaged") from error


def _check_shape(path: Path, reader: sitk.ImageFileReader) -> None:
    """Refuse what is not 3-D, not scalar, or absurdly large."""
    size_xyz = tuple(reader.GetSize())
    rank = len(size_xyz)
    components = reader.GetNumberOfComponents()
    if rank != 3:
        raise InputError(f"{path}: expected a 3-D image, got {rank}-D of size {size_xyz} (x, y, z)")
    if components != 1:
        raise InputError(f"{path}: expected one value a voxel, got {components}")
    if min(size_xyz) < 2:
        raise InputError(f"{path}: expected a 3-D image, got a single slice of size {size_xyz} (x, y, z)")
    # As a real number, which no absurd size makes overflow.
    voxels = np.prod(size_xyz, dtype=float)
    if voxels > MAX_VOXELS:
        raise InputError(
            f"{path}: {size_xyz} voxels are more than the 512 x 512 x 512 that are read; cut the image to the head, or "
            "resample it"
        )


def _check_placement(path: Path, reader: sitk.ImageFileReader) -> None:
    """Refuse a spacing or axes that no scanner has."""
    spacing_xyz = tuple(reader.GetSpacing())
    if not all(0 < step < np.inf for step in spacing_xyz):
        raise InputError(f"{path}: spacing must be positive, got {spacing_xyz} mm")
    sides_mm = []
    for size, step in zip(reader.GetSize(), spacing_xyz, strict=True):
        sides_mm.append(size * step)
    if not MIN_EXTENT_MM <= max(sides_mm) <= MAX_EXTENT_MM:
        raise InputError(_odd_size(path, spacing_xyz, sides_mm))

    axes = np.asarray(reader.GetDirection()).reshape(3, 3)
    cosines = axes.T @ axes
    deviation = np.abs(cosines - np.eye(3)).max()
    # Asked so that NaN is refused too.
    if not deviation <= MAX_AXIS_ERROR:
        raise InputError(f"{path}: the axes are sheared or scaled, not unit vectors at right angles; resample it first")


def _odd_size(path: Path, spacing_xyz: Iterable[float], sides_mm: Iterable[float]) -> str:
    """What is said of an image that is too small or too large for a head."""
    spacing = ", ".join(f"{step:g}" for step in spacing_xyz)
    sides = ", ".join(f"{side:.3g}" for side in sides_mm)
    return (
        f"{path}: sides of [{sides}] mm, which is no head; is the spacing ({spacing}) mm right, and the header's unit?"
    )


def _cause(error: BaseException) -> str:
    """The last line of what ITK says, without the place in its own source that stands before it."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    last_line = lines[-1].strip()
    return last_line.split("): ")[-1]
