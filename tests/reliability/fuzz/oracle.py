"""Whether what was read of a damaged image is what independent readers see in it."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from vestibule.geometry import Geometry
from vestibule.volume import Volume

PLACE_VOXELS = 0.02
"""How far apart two readers may see a corner of the image, in voxels."""

ELEMENTS = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""MetaImage's types as NumPy calls them, without their order of bytes."""


class WrongError(Exception):
    """An image was taken without a word, and other readers see something else."""


def check_volume(path: Path, volume: Volume) -> None:
    """Raise WrongError where neither nibabel nor SimpleITK sees these voxels in this place."""
    if path.name.lower().endswith(".mha"):
        _check_metaimage(path, volume)
        return
    causes = []
    for reader in (_by_nibabel, _by_itk):
        try:
            voxels, affine = reader(path)
        except Exception as error:
            causes.append(f"{reader.__name__}: {type(error).__name__}: {str(error).strip()[-160:]}")
            continue
        cause = _differs(volume, voxels, affine)
        if cause is None:
            return
        causes.append(f"{reader.__name__}: {cause}")
    raise WrongError("; ".join(causes))


def check_place(path: Path, geometry: Geometry) -> None:
    """Raise WrongError where neither nibabel nor SimpleITK sees an image with this geometry in the file."""
    causes = []
    for reader in (_by_nibabel, _by_itk):
        try:
            voxels, affine = reader(path)
        except Exception as error:
            causes.append(f"{reader.__name__}: {type(error).__name__}")
            continue
        cause = _lies_elsewhere(geometry, voxels.shape, affine)
        if cause is None:
            return
        causes.append(f"{reader.__name__}: {cause}")
    raise WrongError("; ".join(causes))


def ras_affine(geometry: Geometry) -> np.ndarray:
    """NIfTI's affine (4, 4) of a geometry."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(geometry.direction, (3, 3)) * np.array(geometry.spacing_zyx[::-1])
    affine[:3, 3] = geometry.origin_xyz
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _by_nibabel(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nibabel.load(_readable(path))
    voxels = np.asarray(image.dataobj)
    return voxels.reshape(voxels.shape[:3]), image.affine


def _by_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    kind = "MetaImageIO" if path.name.lower().endswith(".mha") else ""
    image = sitk.ReadImage(str(_readable(path)), imageIO=kind)
    voxels = sitk.GetArrayFromImage(image).transpose()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return voxels, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _check_metaimage(path: Path, volume: Volume) -> None:
    """Its place by ITK; its voxels by a few lines of our own, since ITK was seen to read damage as voxels."""
    content = path.read_bytes()
    end = content.index(b"\n", content.index(b"ElementDataFile"))
    header, stored = content[:end], content[end + 1 :]
    pairs = [line.partition("=") for line in header.decode("latin-1").split("\n")]
    values = {key.strip().lower(): value.strip() for key, _, value in pairs}
    if values.get("compresseddata", "").lower() == "true":
        stored = zlib.decompress(stored[: int(values.get("compresseddatasize", len(stored)))])
    big = values.get("binarydatabyteordermsb", values.get("elementbyteordermsb", ""))
    order = ">" if big.lower() == "true" else "<"
    dtype = np.dtype(order + ELEMENTS[values["elementtype"]])
    flat = np.frombuffer(stored, dtype, count=volume.voxels.size)
    _, affine = _by_itk(path)
    cause = _differs(volume, flat.reshape(volume.voxels.shape).transpose(), affine)
    if cause:
        raise WrongError(cause)


def _readable(path: Path) -> Path:
    """`path`, or a copy of it under a name that every reader knows."""
    lowered = path.name.lower()
    if path.name == lowered:
        return path
    copy = path.with_name(lowered)
    shutil.copyfile(path, copy)
    return copy


def _differs(volume: Volume, voxels_xyz: np.ndarray, affine: np.ndarray) -> str | None:
    """What differs, in words; None where nothing does."""
    ours = volume.voxels.transpose(2, 1, 0)
    if ours.shape != voxels_xyz.shape:
        return f"shape {ours.shape}, there {voxels_xyz.shape}"
    with np.errstate(over="ignore", invalid="ignore"):
        theirs = voxels_xyz.astype(np.float32)
        if not np.allclose(ours, theirs, rtol=1e-5, atol=1e-5 * (1 + np.abs(theirs).max())):
            return "other voxels"
    return _lies_elsewhere(volume.geometry, voxels_xyz.shape, affine)


def _lies_elsewhere(geometry: Geometry, shape_xyz: tuple[int, ...], affine: np.ndarray) -> str | None:
    """By how much two grids differ, in words; None where they do not."""
    if geometry.size_zyx[::-1] != tuple(shape_xyz):
        return f"shape {geometry.size_zyx[::-1]}, there {shape_xyz}"
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shape_xyz])).reshape(3, -1)
    homogeneous = np.vstack([corners, np.ones(8)])
    distances = np.linalg.norm(((ras_affine(geometry) - affine) @ homogeneous)[:3], axis=0)
    smallest = min(geometry.spacing_zyx)
    if not distances.max() <= PLACE_VOXELS * smallest:
        return f"corners lie {distances.max():.3g} mm apart"
    return None
