"""Does the region of interest hold the ears? The least room left around them, for each configuration's region.

    python studies/region.py --cases 8                                          phantoms of all editions and sites
    python studies/region.py --cases 1 --shape 120 512 512 --spacing 1.5 0.4 0.4     of full size; minutes to render
    python studies/region.py --drawn runs/prepare/drawn --edition 2022          phantoms that are there already
    python studies/region.py --images HEADS/*.nii.gz                            canals found in heads of one's own

Room is from the outermost labelled voxel (tumour or cochlea; on own images, an end of a canal) to the region's edge,
in mm, the least over all images; below 0 something is cut off. Prints how often the head's outline was not enough, so
that the larger region is taken, how far before the region's middle the ears lie on T1 and on T2, and the time of a
look. Heads are named as `studies/real_heads.py` has them; a T1 has the canals of its session's T2, or where there is
none, the mean of those that registration carries over from other people's T1. How far that is from the canals of one's
own T2 is printed for the T1 that have one.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
from canals import onto
from real_heads import canals_of, t2_of

from training.config import read_config
from training.data.raw_cases import find_cases
from training.phantom.config import PhantomConfig
from training.phantom.population import make_population
from vestibule.editions import EDITIONS, case_of_image, get_edition
from vestibule.errors import InputError
from vestibule.preprocessing import PreprocessingConfig, region_around
from vestibule.region import find_ears
from vestibule.volume import Volume, read_labels, read_scan, reorient

CONFIGS = ("phantom", "crossmoda2021", "crossmoda2022")
SIDES = ("front", "back", "right", "left")
"""Edges of an LPS slice: y runs to the back, x to the patient's left."""


Case = tuple[str, str, Volume, np.ndarray, np.ndarray]
"""Name, contrast, image, patient points (n, 3) that the region must hold, and those of the ears, of an image."""


def main() -> None:
    """Look at every image, print a line for each configuration."""
    arguments = parse()
    folder = Path(__file__).resolve().parents[1] / "configs"
    regions = {name: read_config(folder / f"{name}.yaml").prepare for name in CONFIGS}
    rooms: dict[str, list[np.ndarray]] = {name: [] for name in CONFIGS}
    offsets: dict[str, list[float]] = {}
    seconds = []
    lost = []
    for name, contrast, image, points, ears in cases(arguments):
        oriented = reorient(image)
        begin = time.perf_counter()
        middle = find_ears(oriented)
        seconds.append(time.perf_counter() - begin)
        if middle is None:
            lost.append(name)
            continue

        step_mm = oriented.geometry.spacing_zyx[1]
        ears_y = oriented.geometry.to_index(ears)[:, 1].mean()
        offset_mm = float(middle[0] - ears_y) * step_mm
        offsets.setdefault(contrast, []).append(offset_mm)
        for config, region in regions.items():
            rooms[config].append(room(oriented, middle, region, points))

    for config, found in rooms.items():
        if found:
            print(line_of(config, regions[config], found))
    for contrast, own in sorted(offsets.items()):
        mean, spread = np.mean(own), np.std(own)
        print(f"ears {mean:.1f} ± {spread:.1f} mm before the region's middle on {len(own)} {contrast}")
    print(f"larger region taken: {len(lost)} {' '.join(lost)}; {median(seconds):.2f} s a look (median)")


def line_of(config: str, region: PreprocessingConfig, found: list[np.ndarray]) -> str:
    """What is said of one configuration's region, of the room in each image."""
    least = []
    for side, room_mm in zip(SIDES, np.min(found, axis=0), strict=True):
        least.append(f"{side} {room_mm:.1f}")
    lengths_mm = np.multiply(region.size_yx, region.spacing_yx_mm)
    size = " x ".join(f"{length:.0f}" for length in lengths_mm)
    return f"{config:14s} {size} mm: least room {', '.join(least)} mm, {len(found)} images"


def room(
    oriented: Volume, middle_yx: tuple[float, float], region: PreprocessingConfig, points: np.ndarray
) -> np.ndarray:
    """Room that a region leaves around points.

    Args:
        oriented: An LPS-oriented image.
        middle_yx: Of the region, in voxels.
        region: Its size and spacing.
        points: In patient mm, (n, 3).

    Returns:
        Millimetres to each of `SIDES`, negative outside.
    """
    grid = region_around(oriented.geometry, middle_yx, region.size_yx, region.spacing_yx_mm)
    index_yx = grid.to_index(points)[:, 1::-1]  # (n, 2)
    step_mm = np.asarray(region.spacing_yx_mm)
    size = np.asarray(region.size_yx)
    # Half a voxel lies before the middle of the first one, and as much behind that of the last.
    front, right = (index_yx.min(axis=0) + 0.5) * step_mm
    back, left = (size - 0.5 - index_yx.max(axis=0)) * step_mm
    return np.array([front, back, right, left])


def cases(arguments: argparse.Namespace) -> Iterator[Case]:
    """The images to look at: one's own, phantoms that are there, or else phantoms that are made."""
    yield from own_heads(arguments.images)
    if arguments.drawn:
        yield from population(arguments.drawn, arguments.edition)
        return
    if arguments.images:
        return
    for year in EDITIONS:
        config = PhantomConfig(
            arguments.cases,
            1,
            edition=year,
            workers=2,
            seed=arguments.seed,
            shape_zyx=tuple(arguments.shape),
            spacing_zyx=tuple(arguments.spacing),
        )
        with tempfile.TemporaryDirectory() as folder:
            make_population(Path(folder), config)
            yield from population(Path(folder), year)


def own_heads(paths: list[Path]) -> Iterator[Case]:
    """Heads of one's own, as far as their canals can be had, whose ends stand for tumour and ears."""
    atlases = []
    for path in paths:
        _, contrast = case_of_image(path)
        if contrast == "T1" and t2_of(path).is_file():
            atlases.append(path)

    for path in paths:
        _, contrast = case_of_image(path)
        ends = canal_ends(path) if contrast == "T2" or path in atlases else None
        others = [other for other in atlases if contrast == "T1" and person(other) != person(path)]
        if others:
            carried = np.mean([carry(other, path) for other in others], axis=0)  # (4, 3)
            if ends is None:
                ends = carried
            else:
                errors_mm = np.linalg.norm(carried - ends, axis=1)
                shown = ", ".join(f"{error:.1f}" for error in errors_mm)
                print(f"{path.name}: its canals' ends by {len(others)} others lie {shown} mm off")
        if ends is None:
            print(f"{path.name}: left out, no T2 of its session and no T1 of others to have the canals from")
            continue
        yield path.name, str(contrast), read_scan(path), ends, ends


@cache
def canal_ends(path: Path) -> np.ndarray:
    """Porus and fundus of both canals of an image, (4, 3) in patient mm."""
    ends = []
    for canal in canals_of(path).values():
        ends += [canal.porus, canal.fundus]
    return np.array(ends)


def person(path: Path) -> str:
    """Whose image it is."""
    case, _ = case_of_image(path)
    return re.sub(r"s\d+$", "", case)


def carry(atlas: Path, path: Path) -> np.ndarray:
    """The ends of the canals of `atlas` in the image `path`, (4, 3) in patient mm, by registration."""
    ends = canal_ends(atlas)
    to_atlas = onto(read_scan(path), reorient(read_scan(atlas)), ends.mean(axis=0))
    back = to_atlas.GetInverse()
    return np.array([back.TransformPoint(end.tolist()) for end in ends])


def population(folder: Path, year: int) -> Iterator[Case]:
    """The labelled phantoms, T1 and T2, below `folder`; their ears are the cochleae."""
    edition = get_edition(year)
    for case in find_cases(folder, edition):
        if case.label is None:
            raise InputError(f"{case.image}: no label, which phantoms have")
        labels = read_labels(case.label)
        points = points_of(labels, labels.voxels > 0)
        ears = points_of(labels, edition.mask_of(labels.voxels, "cochlea"))
        contrast = "T1" if case.domain == "source" else "T2"
        yield case.name, contrast, read_scan(case.image), points, ears


def points_of(volume: Volume, mask: np.ndarray) -> np.ndarray:
    """Middles of the voxels of `mask` (Z, Y, X) bool on the grid of `volume`, (n, 3) in patient mm."""
    indices_zyx = np.argwhere(mask)
    return volume.geometry.to_patient(indices_zyx[:, ::-1])


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=8, help="phantoms of each domain and edition")
    parser.add_argument("--shape", type=int, nargs=3, default=(28, 128, 128), help="z y x")
    parser.add_argument("--spacing", type=float, nargs=3, default=(1.5, 1.2, 1.2), help="z y x, mm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drawn", type=Path, help="folder of phantoms in the challenge's layout")
    parser.add_argument("--edition", type=int, default=2022, help="of --drawn")
    parser.add_argument("--images", type=Path, nargs="*", default=[], help="heads in place of phantoms")
    return parser.parse_args()


if __name__ == "__main__":
    main()
