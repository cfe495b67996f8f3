"""Small T2-like volumes whose grids are as awkward as real ones: flipped, oblique, anisotropic, of few slices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vestibule.editions import Edition
from vestibule.inputs import PLATFORM_IMAGES, PLATFORM_LISTING
from vestibule.volume import Geometry, Volume, write_volume

SLUG = "head-mri"
"""Folder of the image in a generated job of the platform."""


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
    """One case a kind of grid, `size_yx` squared in plane over 190 mm, named as `edition` names its cases."""
    plane = 190.0 / size_yx
    tilt = _rotation(np.deg2rad(12.0), 0) @ _rotation(np.deg2rad(7.0), 2)
    grids = {
        "straight": (slices, 1.5, np.eye(3)),
        "flipped": (slices, 1.5, np.diag([-1.0, -1.0, 1.0])),
        "oblique": (slices, 1.5, tilt),
        "anisotropic": (slices, 3.5, np.diag([1.0, -1.0, -1.0])),
        "few slices": (8, 1.0, np.eye(3)),
    }
    cases = []
    for number, (awkward, (count, thickness, axes)) in enumerate(grids.items(), start=1):
        geometry = _centred((count, size_yx, size_yx), (thickness, plane, plane), axes)
        cases.append(GeneratedCase(edition.case_name("ldn", number), awkward, draw_head(geometry, rng)))
    return cases


def full_size_case(edition: Edition, rng: np.random.Generator) -> GeneratedCase:
    """A case as large as the challenge's own: 448 x 448 x 80 voxels of 0.5 x 0.5 x 1.5 mm."""
    geometry = _centred((80, 448, 448), (1.5, 0.5, 0.5), np.eye(3))
    return GeneratedCase(edition.case_name("ldn", 9), "full size", draw_head(geometry, rng))


def draw_head(geometry: Geometry, rng: np.random.Generator) -> Volume:
    """A head as coarse as can be, in scanner units: scalp, brain, bright fluid with a darker lump, noise."""
    z, y, x = (np.linspace(-1, 1, n) for n in geometry.size_zyx)
    radius = np.hypot(y[:, None] / 0.95, x[None] / 0.8)
    plane = np.select([radius < 0.8, radius < 0.86, radius < 0.95], [300.0, 40.0, 220.0], 5.0)
    voxels = np.repeat(plane[None], len(z), axis=0).astype(np.float32)
    depth = z[:, None, None]
    for side in (-1.0, 1.0):
        distance = np.sqrt((depth / 1.2) ** 2 + ((y[:, None] - 0.1) / 0.18) ** 2 + ((x[None] - side * 0.3) / 0.18) ** 2)
        voxels[distance < 1] = 700.0
        if side > 0:
            voxels[distance < 0.5] = 320.0
    voxels += rng.normal(0.0, 12.0, voxels.shape).astype(np.float32)
    return Volume(np.clip(voxels, 0, None).round(), geometry)


def write_flat(cases: list[GeneratedCase], edition: Edition, folder: Path) -> Path:
    """The organisers' layout: all cases in one flat folder."""
    for case in cases:
        write_volume(folder / edition.target_name(case.name), case.volume)
    return folder


def write_job(case: GeneratedCase, folder: Path, key: str = "socket") -> Path:
    """The platform's layout: one case, and the list of inputs under today's key `socket` or the older `interface`."""
    name = f"{case.name}.mha"
    write_volume(folder / PLATFORM_IMAGES / SLUG / name, case.volume)
    place = {"slug": SLUG, "relative_path": f"{PLATFORM_IMAGES}/{SLUG}", "super_kind": "Image", "kind": "Image"}
    (folder / PLATFORM_LISTING).write_text(json.dumps([{"image": {"name": name}, key: place}]))
    return folder


def _centred(size_zyx: tuple, spacing_zyx: tuple, axes: np.ndarray) -> Geometry:
    half = (np.array(size_zyx[::-1]) - 1) * np.array(spacing_zyx[::-1]) / 2
    origin = np.array([3.0, -20.0, 11.0]) - axes @ half
    return Geometry(size_zyx, spacing_zyx, tuple(origin.tolist()), tuple(axes.ravel().tolist()))


def _rotation(angle: float, axis: int) -> np.ndarray:
    first, second = (index for index in range(3) if index != axis)
    rotation = np.eye(3)
    rotation[[first, second], [first, second]] = np.cos(angle)
    rotation[first, second], rotation[second, first] = -np.sin(angle), np.sin(angle)
    return rotation
