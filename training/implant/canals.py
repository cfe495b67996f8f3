"""Where the internal auditory canals lie: found on T2 as what synthetic ears look like, or mirrored from one side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from training.implant.midsagittal import midsagittal_plane
from training.implant.template import GRID_MM, POSES_DEG, around_canal, match, mean_ear, sharpen
from training.phantom.ear import BACK
from training.phantom.lattice import xyz_of
from training.phantom.shapes import rotation, unit
from training.phantom.tumour_shape import CanalFrame
from vestibule.errors import InputError
from vestibule.geometry import settled
from vestibule.preprocessing import PreprocessingConfig, working_geometry
from vestibule.resampling import resample
from vestibule.volume import Geometry, Volume, reorient, to_image

CANAL_RADIUS_MM = 2.2
"""Half the width of a canal that nobody measured (Gray's Anatomy: 4 to 5 mm wide)."""
PETROUS_ANGLE_DEG = 35.0
"""Angle of the petrous bone's posterior face to the left-right axis, where nobody measured it."""
SIDES = {"left": 1, "right": -1}
"""Patient x grows to the left."""
REGION_YX = (64, 76)
"""Voxels of `GRID_MM` in plane that are searched."""
FEWEST_SLICES = 4
"""Slices of `GRID_MM` in the region that is searched."""
USUAL_YX_MM = (-9.0, 29.0)
"""Where the middle of a canal lies: behind the middle of the region of interest, and from the midline. Phantoms have it
at -9 and 28, five real heads at -8 to -14 and 26 to 31."""
USUAL_SD_YX_MM = (9.0, 6.0)
"""Spread of that place."""
USUAL_WEIGHT = 0.05
"""What a standard deviation from there costs, in likeness."""
ASYMMETRY_MM = (12.0, 13.0, 11.0)
"""How far the two canals may lie from mirrored places, z y x together: a head lies tilted."""
LEAST_LIKENESS = 0.40
"""What looks less like an inner ear is in doubt: real ones have 0.49 to 0.62, synthetic ones 0.78 and more."""
LEAST_SEEN = 0.95
"""Share of a canal's surroundings that the image must show."""
MOST_BONE = 0.50
"""Brightness of the bone around a canal, in medians of the head: real ears have 0.25 to 0.43, synthetic ones below 0.1,
places in heads whose ears were cut off 0.56 and more."""
LEAST_FLUID = 1.35
"""Brightness (90th percentile) of canal and labyrinth in medians of the head: T2 has 1.58 and more, and six plain T1
heads that were passed off as T2 have 0.97 to 1.14 at the places found."""
MIRROR_DOUBT = "it is the mirror image of the other ear's, and ears are not quite alike"


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
        # The patient's back, less what of it runs along the canal.
        back = unit(BACK - along[1] * along)
        up = np.cross(along, back)
        # On the right side the three would be left-handed otherwise, and up would be down.
        if up[2] <= 0:
            up = -up
        axes = np.stack([along, back, up])

        outward = np.sign(along[0])
        angle = np.deg2rad(PETROUS_ANGLE_DEG)
        sine = np.sin(angle)
        cosine = np.cos(angle)
        face_normal = np.array([-outward * sine, cosine, 0.0])
        return CanalFrame(self.porus, axes, axes @ face_normal)

    def moved(self, transform: sitk.Transform) -> Canal:
        """The canal at the points that `transform` takes its ends to."""
        porus = np.array(transform.TransformPoint(self.porus.tolist()))
        fundus = np.array(transform.TransformPoint(self.fundus.tolist()))
        return Canal(porus, fundus, self.radius_mm, self.doubt)


def locate_canal(
    image: Volume, side: str, t2: Volume | None = None, given: Canal | None = None, mirror: bool = False
) -> Canal:
    """One side's canal by the best that is known of it.

    Args:
        image: The head, a T2 unless `t2` or `given` tells where the canal lies.
        side: `left` or `right`, the patient's.
        t2: A T2 image of the same head, to find the canal on.
        given: A canal whose ends were measured.
        mirror: Whether `given` is the other ear's.

    Returns:
        The canal in the patient space of `image`.

    Raises:
        InputError: `t2` cannot be aligned to `image`.
    """
    if given is not None:
        return mirrored(given, image) if mirror else given
    if t2 is not None:
        on_t2 = find_canals(t2)[side]
        return on_t2.moved(align(image, t2))
    return find_canals(image)[side]


def find_canals(t2: Volume) -> dict[str, Canal]:
    """The canals of a T2 image, `left` and `right`, found together: each at the mirrored place of the other, or nearly.

    A place counts by how alike it is to synthetic ears (`template`): a canal with the labyrinth at its end, bright in
    dark bone. Usual places count a little more. Where one of the two may be wrong, the `doubt` of both says why.

    On 20 synthetic heads, ten of them with a tumour, the middles are 1.2 mm off (median; at most 2.0), and of 20 whose
    ears were cut off 19 are in doubt: `studies/canals.py --heads 20 --seed 2`, with and without `--absent`. On five
    real heads with slices of 3 to 4 mm all ten are in the right canal, some 3 mm nearer to the midline than eyes put
    them.
    """
    oriented = reorient(t2)
    grid, voxels = _region(oriented)
    slice_mm, _, _ = settled(oriented.geometry.spacing_zyx)

    # From 0 for air to about 1 for fluid.
    low, high = np.percentile(voxels, (2, 99.5))
    width = max(high - low, 1e-6)
    scaled = np.clip((voxels - low) / width, 0, 1.2)
    image = sharpen(scaled, GRID_MM)

    # The right ear is a left one in the mirror.
    _, size_y, size_x = image.shape
    matches = {
        "left": match(image, slice_mm),
        "right": match(image[:, :, ::-1], slice_mm),
    }
    usual = USUAL_WEIGHT * _usual_place(size_y, size_x)
    left_score = matches["left"][0] + usual
    right_score = matches["right"][0] + usual
    places = _best_pair(left_score, right_score)

    canals = {}
    doubts = []
    for (side, sign), index in zip(SIDES.items(), places, strict=True):
        likeness, poses = matches[side]
        pose = POSES_DEG[poses[index]]
        canal, middle_xyz = _canal_at(grid, index, pose, sign)
        canals[side] = canal
        doubt = _doubt(oriented, middle_xyz, sign, likeness[index])
        doubts.append(doubt)

    # The two were chosen together, so what speaks against one speaks against both.
    doubt = next((doubt for doubt in doubts if doubt), None)
    return {side: replace(canal, doubt=doubt) for side, canal in canals.items()}


def mirrored(canal: Canal, image: Volume) -> Canal:
    """The other ear's canal: `canal` in the mirror of the head's midsagittal plane, on T1 and T2 alike."""
    point, normal = midsagittal_plane(image)

    def reflect(end: np.ndarray) -> np.ndarray:
        height = (end - point) @ normal
        return end - 2 * height * normal

    porus = reflect(canal.porus)
    fundus = reflect(canal.fundus)
    return Canal(porus, fundus, canal.radius_mm, MIRROR_DOUBT)


def align(t1: Volume, t2: Volume) -> sitk.Transform:
    """The rigid transform that takes points of `t2` to the same anatomy in `t1`, by Mattes' mutual information.

    Raises InputError where the two do not overlap.
    """
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    # A fixed seed; what is left are the roundings of sums over threads.
    method.SetMetricSamplingPercentage(0.1, seed=1)

    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.02, 80)
    method.SetOptimizerScalesFromPhysicalShift()

    # Coarse to fine: a quarter of the voxels along each axis, then half of them.
    method.SetShrinkFactorsPerLevel([4, 2])
    method.SetSmoothingSigmasPerLevel([2, 1])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()

    fixed_image = to_image(reorient(t2))
    moving_image = to_image(reorient(t1))
    fixed = sitk.Cast(fixed_image, sitk.sitkFloat32)
    moving = sitk.Cast(moving_image, sitk.sitkFloat32)
    start = sitk.CenteredTransformInitializer(
        fixed,
        moving,
        sitk.Euler3DTransform(),
        sitk.CenteredTransformInitializerFilter.MOMENTS,
    )

    # Heads of one visit lie alike in the scanner; the middle of the voxels is a start only where they do not overlap.
    transform = sitk.Euler3DTransform()
    transform.SetCenter(start.GetCenter())
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError as error:
        raise InputError("T1 and T2 could not be aligned; do both show the same head?") from error
    return transform


def _region(oriented: Volume) -> tuple[Geometry, np.ndarray]:
    """A grid of `GRID_MM` around both ears, and the image on it (Z, Y, X)."""
    geometry = oriented.geometry
    region = working_geometry(oriented, PreprocessingConfig((GRID_MM, GRID_MM), REGION_YX))
    slice_mm, _, _ = settled(geometry.spacing_zyx)
    height_mm = geometry.size_zyx[0] * slice_mm
    slices = max(FEWEST_SLICES, round(height_mm / GRID_MM))
    _, size_y, size_x = region.size_zyx
    size_zyx = (slices, size_y, size_x)

    # The same middle with slices as thick as the voxels are wide.
    middle_vox = (xyz_of(region.size_zyx) - 1) / 2
    half_mm = (xyz_of(size_zyx) - 1) / 2 * GRID_MM
    origin_xyz = region.to_patient(middle_vox) - region.matrix @ half_mm
    origin_x, origin_y, origin_z = origin_xyz.tolist()
    grid = Geometry(
        size_zyx=size_zyx,
        spacing_zyx=(GRID_MM, GRID_MM, GRID_MM),
        origin_xyz=(origin_x, origin_y, origin_z),
        direction=region.direction,
    )
    return grid, resample(oriented, grid).voxels


def _usual_place(size_y: int, size_x: int) -> np.ndarray:
    """How usual it is for the middle of the canal to lie at each place (Y, X) of the region: 0, or less."""
    deviations = []
    for size, usual_mm, sd_mm in zip((size_y, size_x), USUAL_YX_MM, USUAL_SD_YX_MM, strict=True):
        middle = (size - 1) / 2
        from_middle_mm = (np.arange(size) - middle) * GRID_MM
        deviations.append((from_middle_mm - usual_mm) / sd_mm)

    # The logarithm of a Gaussian.
    along_y, along_x = deviations
    squared_y = along_y[:, None] ** 2
    squared_x = along_x[None, :] ** 2
    squared = squared_y + squared_x  # (Y, X)
    return -0.5 * squared


def _best_pair(left: np.ndarray, right: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices (z, y, x) of the two places that score most together, both in the left's frame.

    Args:
        left: Score of each place (Z, Y, X) as a left canal.
        right: Score of each place as a right one, in the mirror.
    """
    # For each place of a left canal, the best right one near its mirrored place.
    window = [2 * round(limit_mm / GRID_MM) + 1 for limit_mm in ASYMMETRY_MM]
    best_right = ndimage.maximum_filter(right, window, mode="nearest")
    at_left = _largest(left + best_right)

    # Which one that was.
    near = []
    for at, width in zip(at_left, window, strict=True):
        half = width // 2
        start = max(0, at - half)
        near.append(slice(start, at + half + 1))
    in_part = _largest(right[tuple(near)])

    at_right = []
    for at, along in zip(in_part, near, strict=True):
        at_right.append(at + along.start)
    return at_left, tuple(at_right)


def _largest(values: np.ndarray) -> tuple[int, ...]:
    """Index of the largest value, the first of several."""
    index = np.unravel_index(int(values.argmax()), values.shape)
    return tuple(int(at) for at in index)


def _canal_at(
    grid: Geometry, index: tuple[int, ...], pose_deg: tuple[float, float, float], sign: int
) -> tuple[Canal, np.ndarray]:
    """The mean ear's canal at a place of the region, and the canal's middle in patient mm.

    Args:
        grid: The region.
        index: Place (z, y, x) of the canal's middle; of a right one, in the mirror.
        pose_deg: How the ear is turned about x, y, z.
        sign: 1 for the left ear, -1 for the right.
    """
    mirror = np.array([sign, 1, 1])
    middle_vox = (xyz_of(grid.size_zyx) - 1) / 2
    offset_mm = (xyz_of(index) - middle_vox) * GRID_MM
    turn = rotation(np.array(pose_deg))

    def in_patient(from_middle_mm: np.ndarray) -> np.ndarray:
        """A point, given in the frame of the left ear, from the middle of the region."""
        index_xyz = middle_vox + mirror * from_middle_mm / GRID_MM
        return grid.to_patient(index_xyz)

    ear = mean_ear()
    porus = in_patient(offset_mm + turn @ ear.porus)
    fundus = in_patient(offset_mm + turn @ ear.fundus)
    return Canal(porus, fundus), in_patient(offset_mm)


def _doubt(oriented: Volume, middle_xyz: np.ndarray, sign: int, likeness: float) -> str | None:
    """Why a canal may be wrong, in words; None where nothing speaks against it.

    Args:
        oriented: The T2 image.
        middle_xyz: Middle of the canal in patient mm.
        sign: 1 for the left ear, -1 for the right.
        likeness: How alike the place is to synthetic ears, 1 at most.
    """
    if likeness < LEAST_LIKENESS:
        return f"the most likely place looks little like an inner ear ({likeness:.2f} on a scale of 1)"

    around = around_canal()
    geometry = oriented.geometry
    voxels = oriented.voxels
    mirrored_mm = around.points * [sign, 1, 1]  # (N, xyz)
    offset_xyz = mirrored_mm @ geometry.matrix.T
    points_xyz = middle_xyz + offset_xyz
    index = geometry.to_index(points_xyz)[:, ::-1]  # (N, zyx)

    after_first = index > -1
    before_last = index < np.array(voxels.shape)
    inside = (after_first & before_last).all(axis=1)
    if inside.mean() < LEAST_SEEN:
        return "the image ends beside the most likely place"

    # The head without the air around it.
    is_head = voxels > 0.5 * voxels.mean()
    head = np.median(voxels[is_head])

    def brightness(part: np.ndarray) -> np.ndarray:
        """Of the points of a part that lie in the image, in medians of the head."""
        there = index[inside & part]
        return ndimage.map_coordinates(voxels, there.T, order=1, mode="nearest") / head

    bone = np.median(brightness(around.bone))
    if bone > MOST_BONE:
        return f"no dark bone lies around the most likely place, its brightness is {bone:.0%} of the head's"
    fluid = np.percentile(brightness(around.fluid), 90)
    if fluid < LEAST_FLUID:
        return "nothing as bright as fluid lies at the most likely place; is it a T2 image?"
    return None
