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
    default = float(volume.voxels.min()) if outside is None else outside
    sigmas_mm = _smoothing_mm(volume.geometry, geometry) if smooth else (0.0, 0.0, 0.0)
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
    size = np.asarray(geometry.size_zyx)
    first_patient = geometry.to_patient(np.zeros(3))
    next_patient = geometry.to_patient(np.eye(3)[::-1])  # one voxel on along z, y and x
    first = volume.geometry.to_index(first_patient)[::-1]
    steps = volume.geometry.to_index(next_patient)[:, ::-1] - first  # (the grid's axis, the volume's axis)

    extent = np.abs(steps * size[:, None])
    axes = [int(axis) for axis in extent.argmax(axis=1)]
    along = steps[range(3), axes]
    steps[range(3), axes] = 0
    astray = np.abs(steps * size[:, None]).max()
    if sorted(axes) != [0, 1, 2] or astray > PARALLEL_WITHIN:
        return None

    positions = []
    for axis, step, planes in zip(axes, along, size, strict=True):
        positions.append(first[axis] + step * np.arange(planes))
    return _Aligned(volume.voxels.transpose(axes), axes, positions)


def _resampled_along_axes(
    volume: Volume, aligned: _Aligned, sigmas_mm: tuple[float, float, float], default: float
) -> np.ndarray:
    """Smoothing and interpolation as one matrix for each axis."""
    weights = []
    for axis, positions, size in zip(aligned.axes, aligned.positions, aligned.voxels.shape, strict=True):
        sigma = sigmas_mm[axis] / volume.geometry.spacing_zyx[axis]
        weights.append(axis_weights(positions, size, sigma))
    return along_axes(aligned.voxels, weights, default)


def _resampled_freely(
    volume: Volume, geometry: Geometry, sigmas_mm: tuple[float, float, float], default: float
) -> np.ndarray:
    """Smoothing along the volume's own axes, of the part that is seen, then ITK's interpolation."""
    sigmas = [sigma / step for sigma, step in zip(sigmas_mm, volume.geometry.spacing_zyx, strict=True)]
    # Beyond the smoothing's reach, interpolation looks at one more voxel, and the grid may end between two.
    margins = [2 + int(np.ceil(REACH * sigma)) for sigma in sigmas]
    box = volume.geometry.box_around(geometry, margins)
    if box is None:
        return np.full(geometry.size_zyx, default, dtype=np.float32)

    seen = volume.part(box)
    weights = []
    for size, sigma in zip(seen.voxels.shape, sigmas, strict=True):
        weights.append(axis_weights(np.arange(size), size, sigma))
    smoothed = along_axes(seen.voxels, weights, default)
    resampled = sitk.Resample(
        to_image(seen.with_voxels(smoothed)),
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
    new_axes_mm = new.matrix * np.asarray(new.spacing_zyx[::-1])
    reach_mm = np.abs(old.matrix.T @ new_axes_mm).max(axis=1)[::-1]  # z, y, x of the old grid
    sigmas_mm = []
    for wanted, step in zip(reach_mm, old.spacing_zyx, strict=True):
        if wanted > COARSER_FROM * step:
            lost = float(np.sqrt(wanted**2 - step**2))
            sigmas_mm.append(0.5 * lost / float(np.sqrt(2 * np.log(2))))
        else:
            sigmas_mm.append(0.0)
    z, y, x = sigmas_mm
    return z, y, x
