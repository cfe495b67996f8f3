"""Where the internal auditory canals lie: found on T2 as what drawn ears look like, or mirrored from the other side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage, optimize

from training.implant.template import GRID_MM, POSES_DEG, around_canal, drawn_ear, match, sharpen
from training.phantom.shapes import rotation
from training.phantom.tumour import CanalFrame
from vestibule.errors import InputError
from vestibule.preprocessing import PreprocessingConfig, working_geometry
from vestibule.region import find_ears
from vestibule.resampling import resample
from vestibule.volume import Geometry, Volume, reorient, to_image

CANAL_RADIUS_MM = 2.2
"""Half the width of a canal that nobody measured (Gray's Anatomy: 4 to 5 mm wide)."""
SIDES = {"left": 1, "right": -1}
"""Patient x grows to the left."""
REGION_YX = (64, 76)
"""Voxels of `GRID_MM` in plane that are searched."""
USUAL_YX_MM = ((-9.0, 9.0), (29.0, 6.0))
"""Where the middle of a canal lies, and its spread: behind the middle of the region of interest, and from the midline.
Phantoms have it at -9 and 28, five real heads at -8 to -14 and 26 to 31."""
USUAL_WEIGHT = 0.05
"""What a standard deviation from there costs, in likeness."""
ASYMMETRY_MM = (12.0, 13.0, 11.0)
"""How far the two canals may lie from mirrored places, z y x together: a head lies tilted."""
ELSEWHERE_MM = 12.0
"""A place so far away is another one."""
LEAST_LIKENESS = 0.40
"""What looks less like an inner ear is in doubt: real ones have 0.49 to 0.62, drawn ones 0.78 and more."""
LEAST_SEEN = 0.95
"""Share of a canal's surroundings that the image must show."""
MOST_BONE = 0.50
"""Brightness of the bone around a canal, in medians of the head: real ears have 0.25 to 0.43, drawn ones below 0.1,
places in heads whose ears were cut off 0.56 and more."""
LEAST_FLUID = 1.35
"""Brightness (90th percentile) of canal and labyrinth in medians of the head: T2 has 1.58 and more, and six plain T1
heads that were passed off as T2 have 0.97 to 1.14 at the places found."""
MIRROR_GRID_MM = 4.0
LEAST_MIRRORED = 0.4
"""Share of the voxels whose mirror image must lie in the image."""


@dataclass(frozen=True)
class Canal:
    """A canal by its two ends, in patient mm (x, y, z; LPS)."""

    porus: np.ndarray
    fundus: np.ndarray
    radius_mm: float = CANAL_RADIUS_MM
    doubt: str | None = None
    """Why it may be the wrong place, in words, where it was found and not measured."""

    @property
    def length_mm(self) -> float:
        """From porus to fundus."""
        return float(np.linalg.norm(self.fundus - self.porus))

    def frame(self) -> CanalFrame:
        """Axes for a tumour: outward along the canal, back, up."""
        along = (self.fundus - self.porus) / self.length_mm
        back = np.array([0.0, 1.0, 0.0]) - along[1] * along
        back /= np.linalg.norm(back)
        up = np.cross(along, back)
        axes = np.stack([along, back, up if up[2] > 0 else -up])
        side = np.sign(along[0])
        angle = np.deg2rad(35.0)
        return CanalFrame(self.porus, axes, axes @ np.array([-side * np.sin(angle), np.cos(angle), 0.0]))

    def moved(self, transform: sitk.Transform) -> Canal:
        """The canal at the points that `transform` takes its ends to."""
        ends = (np.array(transform.TransformPoint(end.tolist())) for end in (self.porus, self.fundus))
        return Canal(*ends, self.radius_mm, self.doubt)


def find_canals(t2: Volume) -> dict[str, Canal]:
    """The canals of a T2 image, `left` and `right`, found together: each at the mirrored place of the other, or nearly.

    A place counts by how alike it is to drawn ears (`template`): a canal with the labyrinth at its end, bright in dark
    bone. Usual places count a little more. Where one of the two may be wrong, the `doubt` of both says why.

    On 20 drawn heads, ten of them with a tumour, the middles are 1.2 mm off (median; at most 2.0), and of 20 whose ears
    were cut off 19 are in doubt: `studies/canals.py --heads 20 --seed 2`, with and without `--absent`. On five real
    heads with slices of 3 to 4 mm all ten are in the right canal, some 3 mm nearer to the midline than eyes put them.
    """
    oriented = reorient(t2)
    grid, voxels = _region(oriented)
    slice_mm = oriented.geometry.spacing_zyx[0]
    low, high = np.percentile(voxels, (2, 99.5))
    image = sharpen(np.clip((voxels - low) / max(high - low, 1e-6), 0, 1.2), GRID_MM)
    usual = USUAL_WEIGHT * _usual_place(grid.size_zyx[1:])
    # The right ear is a left one in the mirror.
    matches = [match(side, slice_mm) for side in (image, image[:, :, ::-1])]
    at = _best_pair(*(likeness + usual for likeness, _ in matches))
    ear, canals, doubts = drawn_ear(), {}, []
    middle_vox = (np.array(image.shape[::-1]) - 1) / 2
    for (name, sign), index, (likeness, poses) in zip(SIDES.items(), at, matches, strict=True):
        turn, mirror = rotation(np.array(POSES_DEG[poses[index]])), np.array([sign, 1, 1])
        offset = (np.array(index[::-1]) - middle_vox) * GRID_MM
        ends = (
            grid.to_patient(middle_vox + mirror * (offset + turn @ end) / GRID_MM) for end in (ear.porus, ear.fundus)
        )
        canals[name] = Canal(*ends)
        doubts.append(_doubt(oriented, grid.to_patient(middle_vox + mirror * offset / GRID_MM), sign, likeness[index]))
    doubt = next((doubt for doubt in doubts if doubt), None)
    return {name: replace(canal, doubt=doubt) for name, canal in canals.items()}


def mirrored(canal: Canal, image: Volume) -> Canal:
    """The other ear's canal: `canal` in the mirror of the head's midsagittal plane, on T1 and T2 alike."""
    point, normal = midsagittal_plane(image)
    porus, fundus = (end - 2 * ((end - point) @ normal) * normal for end in (canal.porus, canal.fundus))
    return Canal(
        porus, fundus, canal.radius_mm, "it is the mirror image of the other ear's, and ears are not quite alike"
    )


def midsagittal_plane(image: Volume) -> tuple[np.ndarray, np.ndarray]:
    """A point and the unit normal (to the left) of the plane in which a head is most like its mirror image, patient mm.

    It is sought around the middle of the head's outline, by the correlation of voxels of `MIRROR_GRID_MM`.
    """
    oriented = reorient(image)
    geometry = oriented.geometry
    size = [
        max(4, round(n * mm / MIRROR_GRID_MM)) for n, mm in zip(geometry.size_zyx, geometry.spacing_zyx, strict=True)
    ]
    coarse = resample(oriented, Geometry(tuple(size), (MIRROR_GRID_MM,) * 3, geometry.origin_xyz, geometry.direction))
    voxels = np.clip(coarse.voxels, *np.percentile(coarse.voxels, (2, 99)))
    points = MIRROR_GRID_MM * np.stack(np.meshgrid(*map(np.arange, size[::-1]), indexing="ij"), axis=-1).reshape(-1, 3)
    values = voxels.transpose(2, 1, 0).ravel()
    ears = find_ears(oriented)
    middle = MIRROR_GRID_MM * (np.array(size[::-1]) - 1) / 2
    if ears is not None:
        middle[0] = ears[1] * geometry.spacing_zyx[2]

    def plane(shift_mm: float, yaw_deg: float, roll_deg: float) -> tuple[np.ndarray, np.ndarray]:
        return middle + np.array([shift_mm, 0, 0]), rotation(np.array([0, roll_deg, yaw_deg])) @ [1.0, 0, 0]

    def unlikeness(parameters: np.ndarray) -> float:
        point, normal = plane(*parameters)
        there = (points - 2 * ((points - point) @ normal)[:, None] * normal) / MIRROR_GRID_MM
        inside = ((there >= 0) & (there <= np.array(size[::-1]) - 1)).all(axis=1)
        if inside.mean() < LEAST_MIRRORED:
            return 1.0
        other = ndimage.map_coordinates(voxels, there[inside, ::-1].T, order=1)
        return -float(np.corrcoef(values[inside], other)[0, 1])

    start = min(([shift, 0.0, 0.0] for shift in (-8.0, -4.0, 0.0, 4.0, 8.0)), key=unlikeness)
    simplex = np.array(start) + np.concatenate([np.zeros((1, 3)), np.diag([3.0, 4.0, 4.0])])
    best = optimize.minimize(
        unlikeness, start, method="Nelder-Mead", options={"initial_simplex": simplex, "xatol": 0.1}
    )
    point, normal = plane(*best.x)
    return geometry.to_patient(point / np.array(geometry.spacing_zyx[::-1])), geometry.matrix @ normal


def align(t1: Volume, t2: Volume) -> sitk.Transform:
    """The rigid transform that takes points of `t2` to the same anatomy in `t1`, by Mattes' mutual information."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.1, seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.02, 80)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2])
    method.SetSmoothingSigmasPerLevel([2, 1])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    fixed, moving = (sitk.Cast(to_image(reorient(volume)), sitk.sitkFloat32) for volume in (t2, t1))
    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    # Heads of one visit lie alike in the scanner; the middle of the voxels is a start only where they do not overlap.
    identity = sitk.Euler3DTransform()
    identity.SetCenter(start.GetCenter())
    method.SetInitialTransform(identity, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError as error:
        raise InputError("T1 and T2 could not be aligned; do both show the same head?") from error
    return identity


def _region(oriented: Volume) -> tuple[Geometry, np.ndarray]:
    """A grid of `GRID_MM` around both ears, and the image on it (Z, Y, X)."""
    region = working_geometry(oriented, PreprocessingConfig((GRID_MM, GRID_MM), REGION_YX))
    slices, slice_mm = oriented.geometry.size_zyx[0], oriented.geometry.spacing_zyx[0]
    size = (max(4, round(slices * slice_mm / GRID_MM)), *region.size_zyx[1:])
    middle = region.to_patient((np.array(region.size_zyx[::-1]) - 1) / 2)
    origin = middle - region.matrix @ ((np.array(size[::-1]) - 1) / 2 * GRID_MM)
    grid = Geometry(size, (GRID_MM,) * 3, tuple(origin.tolist()), region.direction)
    return grid, resample(oriented, grid).voxels


def _best_pair(left: np.ndarray, right: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of the two places that score most together, both in the left's frame."""
    window = [2 * round(limit / GRID_MM) + 1 for limit in ASYMMETRY_MM]
    joint = left + ndimage.maximum_filter(right, window, mode="nearest")
    at_left = tuple(int(at) for at in np.unravel_index(int(joint.argmax()), joint.shape))
    near = tuple(slice(max(0, at - n // 2), at + n // 2 + 1) for at, n in zip(at_left, window, strict=True))
    in_part = np.unravel_index(int(right[near].argmax()), right[near].shape)
    return at_left, tuple(int(at + part.start) for at, part in zip(in_part, near, strict=True))


def _usual_place(size_yx: tuple[int, int]) -> np.ndarray:
    """How usual it is for the middle of the canal to lie at each place (Y, X) of the region: 0, or less."""
    (y, dy), (x, dx) = USUAL_YX_MM
    rows, columns = (
        ((np.arange(n) - (n - 1) / 2) * GRID_MM - middle) / spread
        for n, middle, spread in zip(size_yx, (y, x), (dy, dx), strict=True)
    )
    return -0.5 * (rows[:, None] ** 2 + columns[None, :] ** 2)


def _doubt(oriented: Volume, middle_xyz: np.ndarray, sign: int, likeness: float) -> str | None:
    """Why a canal may be wrong, in words; None where nothing speaks against it."""
    if likeness < LEAST_LIKENESS:
        return f"the most likely place looks little like an inner ear ({likeness:.2f} on a scale of 1)"
    points, bone, fluid = around_canal()
    geometry, voxels = oriented.geometry, oriented.voxels
    offset = middle_xyz + (points * [sign, 1, 1]) @ geometry.matrix.T - np.array(geometry.origin_xyz)
    index = (offset @ geometry.matrix / np.array(geometry.spacing_zyx[::-1]))[:, ::-1]
    inside = ((index > -1) & (index < np.array(voxels.shape))).all(axis=1)
    if inside.mean() < LEAST_SEEN:
        return "the image ends beside the most likely place"
    head = np.median(voxels[voxels > 0.5 * voxels.mean()])
    at_bone, at_fluid = (
        ndimage.map_coordinates(voxels, index[inside & part].T, order=1, mode="nearest") / head
        for part in (bone, fluid)
    )
    if np.median(at_bone) > MOST_BONE:
        return (
            f"no dark bone lies around the most likely place, its brightness is {np.median(at_bone):.0%} of the head's"
        )
    if np.percentile(at_fluid, 90) < LEAST_FLUID:
        return "nothing as bright as fluid lies at the most likely place; is it a T2 image?"
    return None
