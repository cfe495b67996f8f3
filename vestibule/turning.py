"""Two images of one grid whose axes are stored in another order or direction: one is turned onto the other exactly."""

from __future__ import annotations

import numpy as np

from vestibule.geometry import Geometry
from vestibule.volume import Volume

SAME_PLACE_VOXELS = 0.1
"""Two grids are one where no corner lies further apart than this part of the smallest voxel side."""


def turned_onto(volume: Volume, geometry: Geometry) -> Volume | None:
    """`volume` with its axes permuted and flipped so that it lies on `geometry`; None where that cannot be.

    No voxel is interpolated. Equal grids give the volume itself.
    """
    tolerance_mm = SAME_PLACE_VOXELS * min(geometry.spacing_zyx)
    if geometry.describes(volume.geometry, tolerance_mm):
        return volume

    # For each axis of the wanted grid the axis of the volume that lies closest to it, and whether it runs backwards.
    own_directions = volume.geometry.matrix
    cosines = own_directions.T @ geometry.matrix  # (own axes, wanted axes)
    own_axes = np.abs(cosines).argmax(axis=0)
    if sorted(own_axes) != [0, 1, 2]:
        # Two axes lie closest to the same one: the grid lies askew.
        return None
    flipped = []
    for wanted, own in enumerate(own_axes):
        flipped.append(bool(cosines[own, wanted] < 0))

    turned = _permuted(volume, own_axes, flipped)
    if geometry.describes(turned.geometry, tolerance_mm):
        return turned
    return None


def _permuted(volume: Volume, own_axes: np.ndarray, flipped: list[bool]) -> Volume:
    """Axes x, y, z of the result are the axes `own_axes` of `volume`, reversed where `flipped`."""
    old = volume.geometry
    old_size = old.size_zyx[::-1]
    old_spacing = old.spacing_zyx[::-1]
    size_xyz, spacing_xyz = [], []
    first_voxel = np.zeros(3)

    voxels = volume.voxels.T.transpose(own_axes)  # (X, Y, Z) of the result
    for axis, own in enumerate(own_axes):
        size_xyz.append(int(old_size[own]))
        spacing_xyz.append(old_spacing[own])
        if flipped[axis]:
            voxels = np.flip(voxels, axis)
            # The first voxel of the result is the last one along this axis.
            first_voxel[own] = old_size[own] - 1

    signs = np.where(flipped, -1.0, 1.0)
    directions = old.matrix[:, own_axes] * signs
    size_x, size_y, size_z = size_xyz
    spacing_x, spacing_y, spacing_z = spacing_xyz
    geometry = Geometry(
        size_zyx=(size_z, size_y, size_x),
        spacing_zyx=(spacing_z, spacing_y, spacing_x),
        origin_xyz=tuple(old.to_patient(first_voxel)),
        direction=tuple(directions.ravel()),
    )
    voxels_zyx = np.ascontiguousarray(voxels.T)
    return Volume(voxels_zyx, geometry)
