"""Labels of one grid on another."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from vestibule.volume import Geometry, Volume, to_image


def taken_over(labels: Volume, geometry: Geometry, to_other: sitk.Transform | None) -> np.ndarray:
    """Labels (Z, Y, X) of one image on the grid of the other, by nearest neighbours.

    `to_other` takes points of the wanted grid to the image of the labels; without, both lie in one frame of reference.
    """
    wanted = to_image(Volume(np.zeros(geometry.size_zyx, dtype=np.uint8), geometry))
    transform = to_other or sitk.Transform(3, sitk.sitkIdentity)
    moved = sitk.Resample(to_image(labels), wanted, transform, sitk.sitkNearestNeighbor, 0)
    return sitk.GetArrayFromImage(moved)
