"""A volume on another grid: linear interpolation, after the smoothing that a coarser grid asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from vestibule.geometry import Geometry
from vestibule.interpolation import REACH, along_axes, axis_weights
from vestibule.volume import Volume, to_image

PARALLEL_WITHIN = 1e-3
"""Voxels by which a grid's far corner may be off where its axes are taken for those of another grid."""
COARSER_FROM = 1.01
"""A grid is coarser where its voxels are so many times as large; less is rounding."""


def resample(volume: Volume, geometry: Geometry, outside: float | None = None, smooth: bool = True) -> Volume:
    """`volume` on the grid of `geometry`, linearly interpolated, float32.

    Args:
        volume: Any image.
        geometry: The wanted grid.
        outside: What voxels outside the image get; by default its minimum.
        smooth: Where the new grid is coarser, smooth the image first by a Gaussian of the lost resolution, so that
            small structures are averaged and not skipped.

    Returns:
        The image on the grid, under the same name.
    """
    default = outside
    if default is None:
        default = float(volume.voxels.min())
    sigmas_mm = (0.0, 0.0, 0.0)
    if smooth:
        sigmas_mm = _smoothing_mm(volume.geometry, geometry)

    # Between parallel axes a voxel's neighbours differ from axis to axis only, which costs a fraction.
    aligned = _align(volume, geometry)
    if aligned is None:
        voxels = _resampled_freely(volume, geometry, sigmas_mm, default)
    else:
        voxels = _resampled_along_axes(volume, aligned, sigmas_mm, default)
    return Volume(voxels, geometry, volume.name)


@dataclass(frozen=True)
class _Aligned:
    """A volume whose axes are those of another grid, in that grid's order."""

    voxels: np.ndarray
    """The volume's voxels with its axes in the order of the grid's z, y, x."""
    axes: list[int]
    """Which axes of the volume they were."""
    positions: list[np.ndarray]
    """Where the grid's planes lie along each of them, in voxels of the volume."""


def _align(volume: Volume, geometry: Geometry) -> _Aligned | None:
    """`volume` with its axes in the order of `geometry`'s; None where the axes are not parallel."""
    # The grid's first voxel, and the next ones along its z, y and x, in voxels of the volume.
    first_mm = geometry.to_patient(np.zeros(3))
    next_mm = geometry.to_patient(np.eye(3)[::-1])
    first = volume.geometry.to_index(first_mm)[::-1]
    following = volume.geometry.to_index(next_mm)[:, ::-1]
    steps = following - first  # (the grid's axis, the volume's axis)

    # Each of the grid's axes runs along the volume's axis on which it gets farthest.
    size = np.asarray(geometry.size_zyx)[:, None]
    extent = np.abs(steps * size)
    axes = extent.argmax(axis=1).tolist()
    if sorted(axes) != [0, 1, 2]:
        return None
    along = steps[range(3), axes]
    steps[range(3), axes] = 0
    astray = np.abs(steps * size)
    if astray.max() > PARALLEL_WITHIN:
        return None

    positions = []
    for axis, step, planes in zip(axes, along, geometry.size_zyx, strict=True):
        offsets = step * np.arange(planes)
        positions.append(first[axis] + offsets)
    return _Aligned(
        voxels=volume.voxels.transpose(axes),
        axes=axes,
        positions=positions,
    )


def _resampled_along_axes(
    volume: Volume, aligned: _Aligned, sigmas_mm: tuple[float, float, float], default: float
) -> np.ndarray:
    """Smoothing and interpolation as one matrix for each axis."""
    spacing = volume.geometry.spacing_zyx
    sizes = aligned.voxels.shape
    weights = []
    for axis, positions, size in zip(aligned.axes, aligned.positions, sizes, strict=True):
        sigma = sigmas_mm[axis] / spacing[axis]
        weights.append(axis_weights(positions, size, sigma))
    return along_axes(aligned.voxels, weights, default)


def _resampled_freely(
    volume: Volume, geometry: Geometry, sigmas_mm: tuple[float, float, float], default: float
) -> np.ndarray:
    """Smoothing along the volume's own axes, of the part that is seen, then ITK's interpolation."""
    sigmas = []
    margins = []
    for sigma_mm, step in zip(sigmas_mm, volume.geometry.spacing_zyx, strict=True):
        sigma = sigma_mm / step
        sigmas.append(sigma)
        # Beyond the smoothing's reach, interpolation looks at one more voxel, and the grid may end between two.
        margins.append(2 + int(np.ceil(REACH * sigma)))
    box = volume.geometry.box_around(geometry, margins)
    if box is None:
        return np.full(geometry.size_zyx, default, dtype=np.float32)

    seen = volume.part(box)
    weights = []
    for size, sigma in zip(seen.voxels.shape, sigmas, strict=True):
        weights.append(axis_weights(np.arange(size), size, sigma))
    smoothed = seen.with_voxels(along_axes(seen.voxels, weights, default))
    resampled = sitk.Resample(
        to_image(smoothed),
        geometry.size_zyx[::-1],
        sitk.Transform(),
        sitk.sitkLinear,
        geometry.origin_xyz,
        geometry.spacing_zyx[::-1],
        geometry.direction,
        default,
    )
    return sitk.GetArrayFromImage(resampled)


def _smoothing_mm(old: Geometry, new: Geometry) -> tuple[float, float, float]:
    """Standard deviations along the old grid's z, y, x of the blur that the new grid's coarser voxels stand for.

    A Gaussian whose width at half height is the voxel's; what the old voxels have blurred already is taken off.
    """
    # How far each of the new grid's voxels reaches along the old grid's axes.
    voxels_mm = new.matrix * new.spacing_xyz
    reach_mm = np.abs(old.matrix.T @ voxels_mm)  # (the old grid's x, y, z; the new one's)
    wanted_mm = reach_mm.max(axis=1)[::-1]  # z, y, x of the old grid

    half_width = float(np.sqrt(2 * np.log(2)))  # of a Gaussian at half its height, in standard deviations
    sigmas_mm = [0.0, 0.0, 0.0]
    for axis, (wanted, step) in enumerate(zip(wanted_mm, old.spacing_zyx, strict=True)):
        if wanted > COARSER_FROM * step:
            lost = float(np.sqrt(wanted**2 - step**2))
            sigmas_mm[axis] = 0.5 * lost / half_width
    z, y, x = sigmas_mm
    return z, y, x
