"""Small T2-like volumes whose grids are as awkward as real ones: flipped, oblique, anisotropic, of few slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from vestibule.editions import Edition
from vestibule.files import write_json
from vestibule.geometry import Geometry
from vestibule.inputs import PLATFORM_IMAGES, PLATFORM_LISTING
from vestibule.volume import Volume, write_volume

SLUG = "head-mri"
"""Folder of the image in a generated job of the platform."""
FIELD_OF_VIEW_MM = 190.0
"""Side of a generated image in plane."""
CENTRE_XYZ_MM = (3.0, -20.0, 11.0)
"""Where the middle of a generated image lies in the patient."""
FULL_SIZE_ZYX = (80, 448, 448)
"""The challenge's own largest images."""
FULL_SIZE_SPACING_ZYX = (1.5, 0.5, 0.5)

# Intensities of a T2 image, in scanner units.
AIR, BONE, SCALP, BRAIN, LUMP, FLUID = 5.0, 40.0, 220.0, 300.0, 320.0, 700.0
NOISE = 12.0


@dataclass(frozen=True)
class GeneratedCase:
    """One volume to run an image on."""

    name: str
    """Case name of the edition."""
    awkward: str
    """What is awkward about its grid."""
    volume: Volume


def generate_cases(
    edition: Edition, rng: np.random.Generator, size_yx: int = 96, slices: int = 16
) -> list[GeneratedCase]:
    """One case a kind of grid.

    Args:
        edition: Names the cases.
        rng: Gives the noise.
        size_yx: Rows and columns, over 190 mm.
        slices: Slices of all but the case of few.

    Returns:
        The cases, in a fixed order.
    """
    straight = np.eye(3)
    turned = np.diag([-1.0, -1.0, 1.0])
    upside_down = np.diag([1.0, -1.0, -1.0])
    # First 7 degrees in plane, then 12 nodding.
    tilt = Rotation.from_euler("zx", [7.0, 12.0], degrees=True)
    tilted = tilt.as_matrix()

    # What is awkward, slices, their thickness in mm, axes.
    grids = [
        ("straight", slices, 1.5, straight),
        ("flipped", slices, 1.5, turned),
        ("oblique", slices, 1.5, tilted),
        ("anisotropic", slices, 3.5, upside_down),
        ("few slices", 8, 1.0, straight),
    ]
    pixel_mm = FIELD_OF_VIEW_MM / size_yx
    cases: list[GeneratedCase] = []
    for awkward, count, thickness_mm, axes in grids:
        size_zyx = (count, size_yx, size_yx)
        spacing_zyx = (thickness_mm, pixel_mm, pixel_mm)
        geometry = _centred(size_zyx, spacing_zyx, axes)
        case = GeneratedCase(
            name=_case_name(edition, len(cases) + 1),
            awkward=awkward,
            volume=render_head(geometry, rng),
        )
        cases.append(case)
    return cases


def full_size_case(edition: Edition, rng: np.random.Generator) -> GeneratedCase:
    """A case as large as the challenge's own: 448 x 448 x 80 voxels of 0.5 x 0.5 x 1.5 mm."""
    geometry = _centred(FULL_SIZE_ZYX, FULL_SIZE_SPACING_ZYX, np.eye(3))
    return GeneratedCase(_case_name(edition, 9), "full size", render_head(geometry, rng))


def render_head(geometry: Geometry, rng: np.random.Generator) -> Volume:
    """A head as coarse as can be, in scanner units: scalp, brain, bright fluid with a darker lump, noise."""
    size_z, size_y, size_x = geometry.size_zyx
    # From -1 to 1 across the image.
    depth = np.linspace(-1, 1, size_z)[:, None, None]
    row = np.linspace(-1, 1, size_y)[:, None]
    column = np.linspace(-1, 1, size_x)[None]

    # Layers within each other, the same in every slice.
    radius = np.hypot(row / 0.95, column / 0.8)  # (Y, X)
    layers = [radius < 0.8, radius < 0.86, radius < 0.95]
    plane = np.select(layers, [BRAIN, BONE, SCALP], AIR)
    voxels = np.repeat(plane[None], size_z, axis=0).astype(np.float32)

    # An ear on each side, and the lump in one of them.
    for side in (-1.0, 1.0):
        along_z = depth / 1.2
        along_y = (row - 0.1) / 0.18
        along_x = (column - side * 0.3) / 0.18
        distance = np.sqrt(along_z**2 + along_y**2 + along_x**2)  # (Z, Y, X)
        voxels[distance < 1] = FLUID
        if side > 0:
            voxels[distance < 0.5] = LUMP

    noise = rng.normal(0.0, NOISE, voxels.shape)
    voxels += noise.astype(np.float32)
    # A scanner stores whole numbers, none below 0.
    voxels = np.clip(voxels, 0, None).round()
    return Volume(voxels, geometry)


def write_flat(cases: list[GeneratedCase], edition: Edition, folder: Path) -> Path:
    """The organisers' layout: all cases in one flat folder."""
    for case in cases:
        write_volume(folder / edition.target_name(case.name), case.volume)
    return folder


def write_job(case: GeneratedCase, folder: Path, key: str = "socket") -> Path:
    """The platform's layout: one case, and the list of inputs under today's key `socket` or the older `interface`."""
    name = f"{case.name}.mha"
    place = f"{PLATFORM_IMAGES}/{SLUG}"
    write_volume(folder / place / name, case.volume)
    socket = {
        "slug": SLUG,
        "relative_path": place,
        "super_kind": "Image",
        "kind": "Image",
    }
    write_json(folder / PLATFORM_LISTING, [{"image": {"name": name}, key: socket}])
    return folder


def _case_name(edition: Edition, number: int) -> str:
    """Name of a generated case, of the edition's first site."""
    return edition.case_name(edition.sites[0], number)


def _centred(size_zyx: tuple[int, int, int], spacing_zyx: tuple[float, float, float], axes: np.ndarray) -> Geometry:
    """A grid of this size whose middle lies at CENTRE_XYZ_MM, whatever its axes (3, 3)."""
    size_xyz = np.array(size_zyx[::-1])
    spacing_xyz = np.array(spacing_zyx[::-1])
    half_mm = (size_xyz - 1) * spacing_xyz / 2
    origin_xyz = np.array(CENTRE_XYZ_MM) - axes @ half_mm
    direction = axes.ravel()
    return Geometry(size_zyx, spacing_zyx, tuple(origin_xyz.tolist()), tuple(direction.tolist()))
