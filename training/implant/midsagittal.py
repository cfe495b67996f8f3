"""The plane in which a head is most like its mirror image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, optimize

from training.phantom.lattice import xyz_of
from training.phantom.shapes import rotation
from vestibule.geometry import settled
from vestibule.region import find_ears
from vestibule.resampling import resample
from vestibule.volume import Geometry, Volume, reorient

GRID_MM = 4.0
"""Voxels in which a head is compared with its mirror image."""
FEWEST_VOXELS = 4
"""Along each axis."""
LEAST_MIRRORED = 0.4
"""Share of the voxels whose mirror image must lie in the image."""
STARTS_MM = (-8.0, -4.0, 0.0, 4.0, 8.0)
"""Sideways shifts that are tried, the best of which is where the search begins."""
FIRST_STEPS = (3.0, 4.0, 4.0)
"""First steps of the search in mm, degrees and degrees."""


def midsagittal_plane(image: Volume) -> tuple[np.ndarray, np.ndarray]:
    """A point and the unit normal (to the left) of the plane in which a head is most like its mirror image, patient mm.

    It is sought around the middle of the head's outline, by the correlation of voxels of `GRID_MM`.
    """
    oriented = reorient(image)
    geometry = oriented.geometry
    voxels = _coarse(oriented)  # (Z, Y, X)
    last_xyz = xyz_of(voxels.shape) - 1

    # In the image's own frame: x, y, z in mm from the first voxel.
    values = voxels.transpose(2, 1, 0).ravel()  # (N,), in the points' order
    axes = [np.arange(last + 1) for last in last_xyz]
    index_xyz = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)  # (X, Y, Z, xyz)
    points = GRID_MM * index_xyz.reshape(-1, 3)  # (N, xyz)

    # The middle of the head's outline sideways, where it is known.
    middle = GRID_MM * last_xyz / 2
    ears = find_ears(oriented)
    if ears is not None:
        middle[0] = ears[1] * geometry.spacing_zyx[2]

    def plane(shift_mm: float, yaw_deg: float, roll_deg: float) -> tuple[np.ndarray, np.ndarray]:
        """Point and normal in the image's frame."""
        point = middle + np.array([shift_mm, 0, 0])
        turn = rotation(np.array([0, roll_deg, yaw_deg]))
        return point, turn @ [1.0, 0, 0]

    def unlikeness(parameters: np.ndarray) -> float:
        """Minus the correlation of voxels with their mirror images; 1 where hardly any of these is in the image."""
        point, normal = plane(*parameters)
        height = (points - point) @ normal  # (N,), above the plane
        reflected = points - 2 * height[:, None] * normal
        there = reflected / GRID_MM  # (N, xyz), in voxels

        after_first = there >= 0
        before_last = there <= last_xyz
        inside = (after_first & before_last).all(axis=1)
        if inside.mean() < LEAST_MIRRORED:
            return 1.0

        index_zyx = there[inside, ::-1]
        mirrored = ndimage.map_coordinates(voxels, index_zyx.T, order=1)
        correlation = np.corrcoef(values[inside], mirrored)[0, 1]
        return -float(correlation)

    candidates = [np.array([shift_mm, 0.0, 0.0]) for shift_mm in STARTS_MM]
    start = min(candidates, key=unlikeness)

    # The start, and a first step from it in each parameter.
    steps = np.diag(FIRST_STEPS)
    simplex = np.concatenate([start[None], start + steps])
    # The correlation has no useful gradient: trilinear interpolation makes it kink at every voxel.
    options = {"initial_simplex": simplex, "xatol": 0.1}
    best = optimize.minimize(unlikeness, start, method="Nelder-Mead", options=options)

    point, normal = plane(*best.x)
    index_xyz = point / xyz_of(geometry.spacing_zyx)
    return geometry.to_patient(index_xyz), geometry.matrix @ normal


def _coarse(oriented: Volume) -> np.ndarray:
    """The head on voxels of `GRID_MM` (Z, Y, X), without the darkest 2 % and the brightest 1 % of its range."""
    geometry = oriented.geometry
    sizes = []
    for size, spacing_mm in zip(geometry.size_zyx, settled(geometry.spacing_zyx), strict=True):
        length_mm = size * spacing_mm
        sizes.append(max(FEWEST_VOXELS, round(length_mm / GRID_MM)))

    size_z, size_y, size_x = sizes
    grid = Geometry(
        size_zyx=(size_z, size_y, size_x),
        spacing_zyx=(GRID_MM, GRID_MM, GRID_MM),
        origin_xyz=geometry.origin_xyz,
        direction=geometry.direction,
    )
    coarse = resample(oriented, grid).voxels
    dark, bright = np.percentile(coarse, (2, 99))
    return np.clip(coarse, dark, bright)
