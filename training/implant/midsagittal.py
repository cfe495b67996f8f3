"""The plane in which a head is most like its mirror image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, optimize

from training.phantom.shapes import rotation
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
    last_xyz = np.array(voxels.shape[::-1]) - 1

    # In the image's own frame: x, y, z in mm from the first voxel.
    values = voxels.transpose(2, 1, 0).ravel()  # (N,), in the points' order
    axes = [np.arange(last + 1) for last in last_xyz]
    points = GRID_MM * np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)  # (N, xyz)
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
        there = (points - 2 * height[:, None] * normal) / GRID_MM  # (N, xyz), in voxels
        inside = ((there >= 0) & (there <= last_xyz)).all(axis=1)
        if inside.mean() < LEAST_MIRRORED:
            return 1.0
        mirrored = ndimage.map_coordinates(voxels, there[inside, ::-1].T, order=1)
        return -float(np.corrcoef(values[inside], mirrored)[0, 1])

    candidates = [[shift_mm, 0.0, 0.0] for shift_mm in STARTS_MM]
    start = min(candidates, key=unlikeness)
    simplex = np.array(start) + np.concatenate([np.zeros((1, 3)), np.diag(FIRST_STEPS)])
    # The correlation has no useful gradient: trilinear interpolation makes it kink at every voxel.
    options = {"initial_simplex": simplex, "xatol": 0.1}
    best = optimize.minimize(unlikeness, start, method="Nelder-Mead", options=options)

    point, normal = plane(*best.x)
    spacing_xyz = np.array(geometry.spacing_zyx[::-1])
    return geometry.to_patient(point / spacing_xyz), geometry.matrix @ normal


def _coarse(oriented: Volume) -> np.ndarray:
    """The head on voxels of `GRID_MM` (Z, Y, X), without the darkest 2 % and the brightest 1 % of its range."""
    geometry = oriented.geometry
    sizes = []
    for size, spacing_mm in zip(geometry.size_zyx, geometry.spacing_zyx, strict=True):
        sizes.append(max(FEWEST_VOXELS, round(size * spacing_mm / GRID_MM)))
    size_z, size_y, size_x = sizes
    grid = Geometry((size_z, size_y, size_x), (GRID_MM, GRID_MM, GRID_MM), geometry.origin_xyz, geometry.direction)
    coarse = resample(oriented, grid).voxels
    dark, bright = np.percentile(coarse, (2, 99))
    return np.clip(coarse, dark, bright)
