"""What ITK gets silently wrong about NIfTI files, done with nibabel instead: checks, reading voxels, and writing."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from isal import igzip, isal_zlib

from vestibule.errors import InputError

if TYPE_CHECKING:
    import nibabel

logger = logging.getLogger(__name__)

MAX_AXIS_ERROR = 1e-3
"""Largest cosine between two axes of an image, which are meant to be at right angles."""
MAX_SPACING_ERROR = 1e-3
"""Share by which the two spacings of a header may differ: writers round them."""
MAX_PLACES_APART = 0.1
"""Voxels that the corners may lie apart by the two places that a header gives: one of them is stored more coarsely."""
QUATERNION_ROUNDING = 3 * float(np.finfo(np.float32).eps)
"""Square of a quaternion's scalar below which readers take 0 for it, since its other numbers are rounded so much."""
MAX_STORED_BYTES = 2 << 30
"""A file that unpacks to more is not read on: twice the largest image in its widest type, where a few kilobytes can
pack terabytes."""
PIECE_VOXELS = 4 << 20
"""So many voxels are read at a time, as stored, so that what is stored in 8 bytes is never in memory as a whole."""
_COMPRESSION = 4
_NIFTI_2_SIZES = (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")
_PLACING_FIELDS = (
    "qform_code",
    "sform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
    "srow_x",
    "srow_y",
    "srow_z",
    "xyzt_units",
)


def check_header(path: Path) -> None:
    """Refuse a NIfTI file whose header would be misread without a word, or refused without naming the cause.

    Raises InputError, naming the file and the cause, for a spacing of 0 (ITK takes 1), a shear, an affine that is not
    finite, and what is not 3-D.
    """
    with _unpacked(path) as stream:
        header = _raw_header(stream, path)
    _check_dimensions(path, header["dim"], header["pixdim"])
    affine = _affine_of(path, header)
    _check_affine(path, affine)
    _warn_of_contradiction(path, affine, header["pixdim"])
    _warn_of_places(path, header)


def write_squared_header(path: Path, target: Path) -> None:
    """Write the header of the image at `path`, whose axes are at right angles but for rounding, with exact ones.

    ITK allows less rounding than many writers do. The axes become the nearest rotation; no voxels are written.
    """
    with _unpacked(path) as stream:
        header = _raw_header(stream, path)
    affine = _affine_of(path, header)
    header.set_sform(None, code=0)
    header.set_qform(affine, code=1, strip_shears=True)
    target.write_bytes(header.binaryblock)


def check_length(path: Path) -> None:
    """Unpack a file whose header is in order, and refuse it where it is truncated: ITK fills the rest with zeros.

    Raises InputError, naming the file.
    """
    with _unpacked(path) as stream:
        header = _raw_header(stream, path)
        stored_bytes = header.sizeof_hdr + _length(stream, path)

    # The first of the dimensions is how many there are.
    rank, *sizes = header["dim"].tolist()
    count = math.prod(sizes[:rank])
    bytes_each = int(header["bitpix"]) // 8
    offset = int(header["vox_offset"])
    if stored_bytes < offset + count * bytes_each:
        raise InputError(f"{path}: truncated, it ends before the last of its {count} voxels")


def nifti_voxels(path: Path) -> np.ndarray:
    """Voxels of a file whose header is in order, float32 (Z, Y, X), with NaN and infinity left in: ITK makes them 0.

    The file is unpacked once. Raises InputError where it is truncated or cannot be read.
    """
    import nibabel

    try:
        # What is too large for float32 becomes infinite, which the caller refuses.
        with _stream(path) as stream, np.errstate(over="ignore"):
            start = stream.read(nibabel.Nifti1Header.sizeof_hdr)
            header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(start))
            _skip(stream, header.get_data_offset() - len(start))

            # A slope of 0 or NaN, as several writers store it, is none.
            slope, intercept = header.get_slope_inter()
            if slope is None:
                slope, intercept = 1.0, 0.0

            shape_xyz = header.get_data_shape()
            dtype = header.get_data_dtype()
            voxels = np.empty(math.prod(shape_xyz), dtype=np.float32)
            for first in range(0, voxels.size, PIECE_VOXELS):
                piece = voxels[first : first + PIECE_VOXELS]
                stored = _read_exactly(stream, piece.size * dtype.itemsize).view(dtype)
                piece[:] = nibabel.volumeutils.apply_read_scaling(stored, np.float64(slope), np.float64(intercept))
            # On to the end, where the gzip's checksum is.
            _length(stream, path)
    except InputError:
        raise
    except Exception as error:
        # Where it is truncated, that is the cause to name, whatever came of it.
        check_length(path)
        cause = first_line(error)
        raise InputError(f"{path}: cannot be read, its voxels are damaged ({cause})") from error
    # The file's order is x first, so its memory is (Z, Y, X); dimensions beyond the third are 1.
    return voxels.reshape(shape_xyz[2::-1])


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray, like: Path | None = None) -> None:
    """Write voxels as NIfTI-1. The same input gives the same bytes.

    Args:
        path: Where to; packed where it ends in .gz.
        voxels: (Z, Y, X) of any type that NIfTI has; booleans become uint8.
        affine: RAS coordinates in mm of voxel indices x, y, z (4, 4).
        like: A NIfTI file whose placement is taken in place of `affine`, bit for bit.

    Raises:
        OSError: The disk refuses: ITK reports no full disk for NIfTI.
    """
    import nibabel

    stored = voxels
    if voxels.dtype == bool:
        stored = voxels.astype(np.uint8)
    placement = _placement_of(like, stored.shape[::-1])
    voxels_xyz = stored.transpose(2, 1, 0)
    if placement is None:
        image = nibabel.Nifti1Image(voxels_xyz, affine)
        image.set_sform(affine, code=1)
        image.set_qform(affine, code=1)
        image.header.set_xyzt_units("mm")
    else:
        image = nibabel.Nifti1Image(voxels_xyz, None, placement)
    image.header.set_data_dtype(stored.dtype)

    with path.open("wb") as stream:
        if path.name.lower().endswith(".gz"):
            # Without a name and a time, or the same mask would have other bytes tomorrow.
            with gzip.GzipFile("", "wb", _COMPRESSION, stream, mtime=0) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(stream)
        stream.flush()
        os.fsync(stream.fileno())


def first_line(error: BaseException) -> str:
    """What `error` says, in one line; its type where it says nothing."""
    for line in str(error).splitlines():
        if line.strip():
            return line.strip()
    return type(error).__name__


def _placement_of(like: Path | None, size_xyz: tuple[int, ...]) -> nibabel.Nifti1Header | None:
    """A fresh header with nothing of `like` but where its voxels lie; None where it is no NIfTI file."""
    import nibabel

    if like is None or Path(like).name.lower().endswith(".mha"):
        return None
    source = cast("nibabel.Nifti1Header", nibabel.load(like).header)
    source_xyz = tuple(source["dim"][1:4])
    if source_xyz != size_xyz:
        raise ValueError(f"{like}: has {source_xyz} voxels, the volume to be placed like it {size_xyz}")
    header = nibabel.Nifti1Header()
    header.set_data_shape(size_xyz)
    # The first four: the sign of the third axis, then the spacing.
    header["pixdim"][:4] = source["pixdim"][:4]
    for name in _PLACING_FIELDS:
        header[name] = source[name]
    return header


def _stream(path: Path) -> io.BufferedIOBase:
    return igzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[io.BufferedIOBase]:
    """The file's content as a stream. Raises InputError where it cannot be unpacked, also while it is read."""
    try:
        with _stream(path) as stream:
            yield stream
    except (OSError, EOFError, isal_zlib.error) as error:  # type: ignore[misc]  # its stub does not say what it is
        cause = first_line(error)
        raise InputError(f"{path}: damaged or truncated gzip ({cause})") from error


def _raw_header(stream: io.BufferedIOBase, path: Path) -> nibabel.Nifti1Header:
    """The header as it is stored. Not by nibabel.load, which puts 1 for a spacing of 0 before one can look."""
    import nibabel

    start = stream.read(nibabel.Nifti1Header.sizeof_hdr)
    # A header begins with its own size, in either order of bytes; NIfTI-2's is 540.
    if start[:4] in _NIFTI_2_SIZES:
        raise InputError(f"{path}: a NIfTI-2 file; expected NIfTI-1, convert it")
    try:
        header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(start), check=False)
    except Exception as error:
        raise InputError(f"{path}: not a NIfTI image ({first_line(error)})") from error
    rank = header["dim"][0]
    if header["magic"] != b"n+1" or not 1 <= rank <= 7:
        raise InputError(f"{path}: not a NIfTI image (its header is not one)")
    if not np.isfinite(header["vox_offset"]):
        raise InputError(f"{path}: not a NIfTI image (vox_offset is {header['vox_offset']})")
    # The sign of the third axis; the format takes what is not negative for 1, and several writers store 0.
    header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
    return header


def _skip(stream: io.BufferedIOBase, size: int) -> None:
    """Read past `size` bytes, a piece at a time: a header may name any number."""
    while size > 0:
        piece = stream.read(min(size, 1 << 20))
        if not piece:
            return
        size -= len(piece)


def _read_exactly(stream: io.BufferedIOBase, size: int) -> np.ndarray:
    """The next `size` bytes, uint8. Raises EOFError where there are fewer."""
    found = np.empty(size, dtype=np.uint8)
    rest = found.data
    while rest:
        count = stream.readinto(rest)
        if not count:
            raise EOFError(f"{len(rest)} of {size} bytes are missing")
        rest = rest[count:]
    return found


def _length(stream: io.BufferedIOBase, path: Path) -> int:
    """Bytes to the stream's end, none of them kept. Raises InputError where there are absurdly many."""
    length = 0
    piece = bytearray(1 << 20)
    while count := stream.readinto(piece):
        length += count
        if length > MAX_STORED_BYTES:
            most_gib = MAX_STORED_BYTES >> 30
            raise InputError(f"{path}: unpacks to more than {most_gib} GiB, more than any image that is read")
    return length


def _check_dimensions(path: Path, dimensions: np.ndarray, steps: np.ndarray) -> None:
    """Refuse what is not 3-D, and a spacing of zero or infinity. Both as the header has them, the rank first."""
    rank, *sizes = dimensions.tolist()
    if rank < 3 or any(size > 1 for size in sizes[3:rank]):
        raise InputError(f"{path}: expected a 3-D image, got {rank}-D of size {tuple(sizes[:rank])}")
    spacing_xyz = steps[1:4]
    # A negative one is common, and means its size.
    is_set = np.abs(spacing_xyz) > 0
    is_finite = np.isfinite(spacing_xyz)
    if not (is_set & is_finite).all():
        shown = tuple(spacing_xyz.tolist())
        raise InputError(f"{path}: spacing must be positive, got {shown} mm")


def _affine_of(path: Path, header: nibabel.Nifti1Header) -> np.ndarray:
    """The affine (4, 4) that a header gives. Raises InputError where its quaternion is none."""
    try:
        return header.get_best_affine()
    except Exception as error:  # nibabel's own are of no common type.
        raise InputError(
            f"{path}: its header gives no rotation ({first_line(error)}); write the image again"
        ) from error


def _check_affine(path: Path, affine: np.ndarray) -> None:
    """Refuse axes that are no axes, or not at right angles."""
    columns = affine[:3, :3]
    lengths = np.linalg.norm(columns, axis=0)
    if not np.isfinite(affine).all() or lengths.min() <= 0:
        raise InputError(f"{path}: the affine has a zero or non-finite axis")
    axes = columns / lengths
    cosines = axes.T @ axes
    if np.abs(cosines - np.eye(3)).max() > MAX_AXIS_ERROR:
        raise InputError(f"{path}: the affine is sheared (axes are not at right angles); resample the image first")


def _warn_of_contradiction(path: Path, affine: np.ndarray, steps: np.ndarray) -> None:
    """Warn where the affine has another spacing than the header's own, which is the one that is read."""
    spacing_xyz = np.abs(steps[1:4])
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if np.allclose(lengths, spacing_xyz, rtol=MAX_SPACING_ERROR, atol=0):
        return
    by_header = " x ".join(f"{step:g}" for step in spacing_xyz)
    by_affine = " x ".join(f"{step:g}" for step in lengths)
    logger.warning(
        "%s: its header contradicts itself, the spacing is %s mm by pixdim and %s mm by the affine; pixdim is taken",
        path,
        by_header,
        by_affine,
    )


def _warn_of_places(path: Path, header: nibabel.Nifti1Header) -> None:
    """Warn where the header places the image nowhere in the patient, or in two places."""
    by_qform = int(header["qform_code"]) > 0
    by_sform = int(header["sform_code"]) > 0
    if not by_qform and not by_sform:
        logger.warning(
            "%s: its header does not say how it lies in the patient (qform_code and sform_code are 0); "
            "x is taken to run to the patient's left, y to the back and z up",
            path,
        )
    if not by_qform or not by_sform:
        return
    try:
        qform = header.get_qform()
        scalar = float(header.get_qform_quaternion()[0])
    except Exception:  # No rotation, or a negative spacing: what follows says so. nibabel's own are of no common type.
        return

    size_xyz = np.asarray(header["dim"][1:4], dtype=float)
    corners = np.array(list(itertools.product((0, 1), repeat=3))) * (size_xyz - 1)  # (8, 3)
    difference = header.get_sform() - qform  # (4, 4)
    apart = corners @ difference[:3, :3].T + difference[:3, 3]
    spacing_xyz = np.abs(header["pixdim"][1:4])
    farthest_mm = float(np.abs(apart).max())
    # A header does not store the scalar, and near half a turn little is known of it.
    rounding = 2 * (np.sqrt(scalar**2 + QUATERNION_ROUNDING) - scalar)  # radians
    rounding_mm = rounding * np.linalg.norm(size_xyz * spacing_xyz)
    if farthest_mm <= MAX_PLACES_APART * spacing_xyz.min() + rounding_mm:
        return
    # As ITK chooses.
    taken = "sform" if int(header["sform_code"]) == 1 else "qform"
    logger.warning(
        "%s: its header contradicts itself, qform and sform place its corners up to %.3g mm apart; the %s is taken",
        path,
        farthest_mm,
        taken,
    )
