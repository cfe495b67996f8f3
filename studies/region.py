"""Does the region of interest hold the ears? The least room left around them, for each configuration's region.

    python studies/region.py --cases 8                                          phantoms of all editions and sites
    python studies/region.py --cases 1 --shape 120 512 512 --spacing 1.5 0.4 0.4     of full size; minutes to draw
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
from vestibule.editions import case_of_image, get_edition
from vestibule.preprocessing import PreprocessingConfig, region_around
from vestibule.region import find_ears
from vestibule.volume import Volume, read_labels, read_scan, reorient

CONFIGS = ("phantom", "crossmoda2021", "crossmoda2022")
SIDES = ("front", "back", "right", "left")
"""Edges of an LPS slice: y runs to the back, x to the patient's left."""


def main() -> None:
    """Look at every image, print a line for each configuration."""
    arguments = parse()
    folder = Path(__file__).resolve().parents[1] / "configs"
    regions = {name: read_config(folder / f"{name}.yaml").prepare for name in CONFIGS}
    rooms: dict[str, list[np.ndarray]] = {name: [] for name in CONFIGS}
    places: dict[str, list[float]] = {}
    seconds, lost = [], []
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
        places.setdefault(contrast, []).append(float(middle[0] - ears_y) * step_mm)
        for config, region in regions.items():
            rooms[config].append(room(oriented, middle, region, points))
    for config, found in rooms.items():
        if found:
            least = ", ".join(f"{side} {mm:.1f}" for side, mm in zip(SIDES, np.min(found, axis=0), strict=True))
            size = " x ".join(
                f"{n * mm:.0f}" for n, mm in zip(regions[config].size_yx, regions[config].spacing_yx_mm, strict=True)
            )
            print(f"{config:14s} {size} mm: least room {least} mm, {len(found)} images")
    for contrast, found in sorted(places.items()):
        print(
            f"ears {np.mean(found):.1f} ± {np.std(found):.1f} mm before the region's middle on {len(found)} {contrast}"
        )
    print(f"larger region taken: {len(lost)} {' '.join(lost)}; {median(seconds):.2f} s a look (median)")


def room(
    oriented: Volume, middle_yx: tuple[float, float], region: PreprocessingConfig, points: np.ndarray
) -> np.ndarray:
    """Millimetres from patient `points` (n, 3) to the `SIDES` of the region, negative outside."""
    grid = region_around(oriented.geometry, middle_yx, region.size_yx, region.spacing_yx_mm)
    index = grid.to_index(points)[:, :2][:, ::-1]
    steps = np.asarray(region.spacing_yx_mm)
    low, high = (index.min(axis=0) + 0.5) * steps, (np.asarray(region.size_yx) - 0.5 - index.max(axis=0)) * steps
    return np.array([low[0], high[0], low[1], high[1]])


def cases(arguments: argparse.Namespace) -> Iterator[tuple[str, str, Volume, np.ndarray, np.ndarray]]:
    """Name, contrast, image, patient points (n, 3) that the region must hold, and those of the ears, of each image."""
    atlases = [path for path in arguments.images if case_of_image(path)[1] == "T1" and t2_of(path).is_file()]
    for path in arguments.images:
        contrast = case_of_image(path)[1]
        ends = canal_ends(path) if contrast == "T2" or path in atlases else None
        others = [other for other in atlases if contrast == "T1" and person(other) != person(path)]
        if others:
            carried = np.mean([carry(other, path) for other in others], axis=0)
            if ends is None:
                ends = carried
            else:
                errors = ", ".join(f"{error:.1f}" for error in np.linalg.norm(carried - ends, axis=1))
                print(f"{path.name}: its canals' ends by {len(others)} others lie {errors} mm off")
        if ends is None:
            print(f"{path.name}: left out, no T2 of its session and no T1 of others to have the canals from")
            continue
        yield path.name, contrast, read_scan(path), ends, ends
    if arguments.drawn:
        yield from population(arguments.drawn, arguments.edition)
    elif not arguments.images:
        for edition in (2021, 2022, 2023):
            with tempfile.TemporaryDirectory() as folder:
                shape = {"shape_zyx": tuple(arguments.shape), "spacing_zyx": tuple(arguments.spacing)}
                config = PhantomConfig(arguments.cases, 1, edition=edition, workers=2, seed=arguments.seed, **shape)
                make_population(Path(folder), config)
                yield from population(Path(folder), edition)


@cache
def canal_ends(path: Path) -> np.ndarray:
    """Porus and fundus of both canals of an image, (4, 3) in patient mm."""
    return np.array([end for canal in canals_of(path).values() for end in (canal.porus, canal.fundus)])


def person(path: Path) -> str:
    """Whose image it is."""
    return re.sub(r"s\d+$", "", case_of_image(path)[0])


def carry(atlas: Path, path: Path) -> np.ndarray:
    """The ends of the canals of `atlas` in the image `path`, (4, 3) in patient mm, by registration."""
    ends = canal_ends(atlas)
    back = onto(read_scan(path), reorient(read_scan(atlas)), ends.mean(axis=0)).GetInverse()
    return np.array([back.TransformPoint(end.tolist()) for end in ends])


def population(folder: Path, year: int) -> Iterator[tuple[str, str, Volume, np.ndarray, np.ndarray]]:
    """The labelled phantoms, T1 and T2, below `folder`; their ears are the cochleae."""
    edition = get_edition(year)
    for case in find_cases(folder, edition):
        labels = read_labels(case.label)
        points, ears = (
            labels.geometry.to_patient(np.argwhere(mask)[:, ::-1])
            for mask in (labels.voxels > 0, np.isin(labels.voxels, edition.structures["cochlea"]))
        )
        yield case.name, "T1" if case.domain == "source" else "T2", read_scan(case.image), points, ears


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
