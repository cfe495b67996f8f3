"""`vestibule train slices`: T2 slices around the inner ears, to choose the reference slice from, without any label.

The level of the inner ears is told by what they look like on T2: small bright fluid within dark bone, on both sides of
the midline. Where the guess is off, more slices can be asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import grey_opening, uniform_filter

from training.config import RunConfig
from training.data.raw_cases import find_cases
from training.data.sheets import Captioned, save_sheet
from training.data.slices import read_cases
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.preprocessing import to_working
from vestibule.progress import track
from vestibule.volume import read_scan

STEP_MM = 3.0
"""Distance of the slices that are shown of a case, where slices are not thicker."""
SPOT_MM = 5.0
"""Bright spots of the inner ear are smaller."""
AROUND_MM = 12.0
"""Side of the square whose mean tells whether bone is around a spot."""
BONE = -0.6
"""Working intensities whose mean is below this are taken for bone."""
MIDLINE_MM = 15.0
"""Inner ears lie farther from the middle of the region."""
SIDE_MM = 55.0
"""And nearer to it than this."""
LINE = 6
"""Slices in a row of the sheet; more go on below."""
MOST_LINES = 120
"""Rows of a sheet: a PNG of more would be too high to be written."""
INCHES = 3.0
"""Width of a slice on the sheet."""
HEADING = "from the feet upwards"
FRONT_MM, BACK_MM = 25.0, 10.0
"""How far in front of the region's middle and behind it they are looked for."""


@dataclass(frozen=True)
class Candidates:
    """What is shown of a case."""

    case: str
    level: int
    """The slice that the inner ears are likely to be in."""
    slices: tuple[int, ...]
    """Those that are shown, as `reference.slice` counts: from 0, from the feet upwards."""


@dataclass(frozen=True)
class _Scan:
    case: str
    voxels: np.ndarray
    """(Z, Y, X) in [-1, 1]."""
    spacing_zyx: tuple[float, float, float]


def plot_candidates(
    config: RunConfig,
    out: Path,
    data: Path | None = None,
    run_dir: Path | None = None,
    named: Mapping[str, str] | None = None,
    wanted: Sequence[str] = (),
    cases: int = 8,
    slices: int = 5,
) -> list[Candidates]:
    """Plot slices of T2 training cases, a row a case or several, around the likely level of the inner ears.

    Args:
        config: Its sections `prepare` and `edition`.
        out: PNG to write.
        data: Folder of the training data, whose images are read.
        run_dir: In its place, a run whose prepared cases are read.
        named: Folders by role in `data` that are called otherwise.
        wanted: Names of cases; without, `cases` of them are spread over all.
        cases: How many, where none is named.
        slices: Slices of each.

    Returns:
        What is shown, in the order of the rows.

    Raises:
        InputError: There is no T2 case, or none of a name that is wanted, or so many slices make no sheet.
    """
    _check_lines(slices, len(wanted) or cases)
    if data is not None:
        scans = _raw_scans(config, data, named, wanted, cases)
    elif run_dir is not None:
        scans = _prepared_scans(run_dir, wanted, cases)
    else:
        raise ValueError("expected a folder of data or of a run")

    found = []
    names = []
    width = min(slices, LINE)
    columns: list[list[Captioned]] = [[] for _ in range(width)]
    for scan in scans:
        level = ear_level(scan.voxels, scan.spacing_zyx)
        shown = slices_around(level, slices, len(scan.voxels), scan.spacing_zyx[0])
        found.append(Candidates(scan.case, level, tuple(shown)))

        for place, index in enumerate(shown):
            caption = f"slice: {index}"
            if index == level:
                caption += "  (likely level of the inner ears)"
            # A copy, so that the volume need not be kept.
            section = np.array(scan.voxels[index], dtype=np.float32)
            columns[place % width].append(Captioned(section, caption))
            if place % width == 0:
                names.append(f"case: {scan.case}")
        # The next case begins on a line of its own.
        for column in columns:
            if len(column) < len(names):
                column.append(Captioned(np.ones_like(section), ""))

    titled = {HEADING: columns[0]}
    for place, column in enumerate(columns[1:]):
        # Titles of columns differ, if only by their blanks.
        titled[" " * place] = column
    save_sheet(out, titled, rows=names, inches=INCHES)
    return found


def _check_lines(slices: int, cases: int) -> None:
    lines = math.ceil(slices / LINE) * cases
    if lines > MOST_LINES:
        raise InputError(
            f"{slices} slices of each case make {lines} lines, and a sheet holds {MOST_LINES}; ask for fewer"
        )


def ear_level(voxels: np.ndarray, spacing_zyx: tuple[float, float, float]) -> int:
    """The slice that shows most small bright spots in bone, counting the side of the midline that shows less.

    Args:
        voxels: T2 in the working region, (Z, Y, X) in [-1, 1].
        spacing_zyx: Of its voxels, mm.

    Returns:
        Index of the slice.
    """
    _, step_y, step_x = spacing_zyx
    scores = []
    for section in voxels:
        score = _spots_in_bone(section, (step_y, step_x))
        scores.append(score)
    return int(np.argmax(scores))


def _spots_in_bone(section: np.ndarray, spacing_yx: tuple[float, float]) -> float:
    """How much of a slice (Y, X) looks like inner ears, on the side that does so less."""
    step_y, step_x = spacing_yx
    spot_px = _pixels(SPOT_MM, spacing_yx)
    around_px = _pixels(AROUND_MM, spacing_yx)

    # An opening removes what is smaller than its square; the rest is what was removed.
    section = np.asarray(section, dtype=np.float32)
    opened = grey_opening(section, size=spot_px)
    spots = section - opened
    around = uniform_filter(section, around_px)
    darkness = np.clip(BONE - around, 0, None)
    likeness = spots * darkness

    # The region lies around the middle between the ears.
    rows, columns = section.shape
    middle_row = rows // 2
    first_row = middle_row - round(FRONT_MM / step_y)
    last_row = middle_row + round(BACK_MM / step_y)
    first_row = max(0, first_row)
    band = likeness[first_row:last_row]

    middle = columns // 2
    near = round(MIDLINE_MM / step_x)
    far = round(SIDE_MM / step_x)
    outermost = max(0, middle - far)
    one_side = band[:, outermost : middle - near].sum()
    other_side = band[:, middle + near : middle + far].sum()
    return float(min(one_side, other_side))


def _pixels(length_mm: float, spacing_yx: tuple[float, float]) -> tuple[int, int]:
    """A length along rows and columns in pixels, at least 3."""
    step_y, step_x = spacing_yx
    high = round(length_mm / step_y)
    wide = round(length_mm / step_x)
    return max(3, high), max(3, wide)


def slices_around(level: int, count: int, slices: int, spacing_mm: float) -> list[int]:
    """Indices of `count` slices around one, about `STEP_MM` apart or neighbours, from the feet upwards.

    Args:
        level: The slice in the middle, unless the image ends.
        count: How many; fewer where the image has not as many.
        slices: Those of the image.
        spacing_mm: Their distance.

    Returns:
        Rising indices.
    """
    step = round(STEP_MM / spacing_mm)
    # Nearer to each other where so many would not fit.
    step = min(step, slices // count)
    step = max(1, step)
    # The level itself stays among them.
    below = level // step
    above = (slices - 1 - level) // step
    count = min(count, below + 1 + above)
    first = min(below, count // 2)
    first = max(first, count - 1 - above)
    start = level - first * step
    end = start + count * step
    return list(range(start, end, step))


def spread(names: Sequence[str], wanted: Sequence[str], count: int) -> list[str]:
    """The wanted names, or `count` of all that are spread evenly. Raises InputError for one that there is not."""
    for name in wanted:
        if name not in names:
            some = ", ".join(names[:3])
            raise InputError(f"--case {name!r} is no T2 training case; the first ones are {some}")
    if wanted:
        return list(wanted)
    count = min(count, len(names))
    last = len(names) - 1
    places = np.linspace(0, last, count).round().astype(int)
    chosen = []
    for place in places:
        chosen.append(names[place])
    return chosen


def _raw_scans(
    config: RunConfig, data: Path, named: Mapping[str, str] | None, wanted: Sequence[str], count: int
) -> Iterator[_Scan]:
    edition = get_edition(config.edition)
    images = {}
    for case in find_cases(data, edition, named):
        if case.domain == "target":
            images[case.name] = case.image
    chosen = spread(list(images), wanted, count)
    for name in track(chosen, "slices"):
        # As `prepare` does: slices are counted as there.
        scan = read_scan(images[name])
        working = to_working(scan, config.prepare)
        yield _Scan(name, working.voxels, working.geometry.spacing_zyx)


def _prepared_scans(run_dir: Path, wanted: Sequence[str], count: int) -> Iterator[_Scan]:
    cases = {case.name: case for case in read_cases(run_dir, "target")}
    for name in spread(list(cases), wanted, count):
        case = cases[name]
        yield _Scan(name, case.image, case.spacing_zyx)
