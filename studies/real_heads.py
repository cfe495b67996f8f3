"""The method on real heads with simulated tumours: from T1 and T2 volumes of healthy ears to scores on unseen people.

    python studies/real_heads.py DATA --out runs/real                2 cores, below an hour
    python studies/real_heads.py DATA --out runs/tiny --size tiny    goes through in a minute or two, says nothing

DATA holds `PERSONsSESSION_T1W.nii.gz` and `..._T2W.nii.gz` of at least three people with both. The first of them gives
the labelled T1 domain, the last the unseen T2, those between the unlabelled T2: no person is in two. Each image gets
several tumours one after another, in copies that are mirrored, bent and brightened at random. A run that was killed
goes on where it stopped.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from experiment import SIZES, provenance, publish, score_arm, sized
from scipy.ndimage import map_coordinates, zoom

from evaluation.reporting.table import table1
from evaluation.scoring.scores import Row, summarise
from training.arms import BASELINE, ONESHOT, UPPER_BOUND
from training.config import RunConfig, read_config
from training.implant.canals import Canal, align, find_canals
from training.implant.files import RECORD
from training.implant.lesion import implant
from training.phantom.tumour import sample_volume
from training.runner import run_stages
from training.stage_table import PHANTOM
from vestibule.editions import TUMOUR, Edition, case_of_image, get_edition
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.volume import Volume, read_scan, write_volume

ARMS = (BASELINE.name, ONESHOT.name, UPPER_BOUND.name)
COPIES = {"tiny": 2, "small": 12, "full": 40}
"""Copies of each image, every one with its own tumour."""
VOLUME_MM3 = (150.0, 4000.0)
BEND_MM = 2.0
"""Spread of the random displacements."""
BEND_OVER_MM = 40.0
"""They change over about this length."""
GAMMA = 0.15
"""Spread of the logarithm of the exponent that changes brightness."""
CONFIG = Path(__file__).resolve().parents[1] / "configs" / "phantom.yaml"


def main() -> None:
    """Make the data, train, score, and print the section for the results page."""
    arguments = parse()
    try:
        rows = scored(arguments)
    except InputError as error:
        raise SystemExit(f"real_heads: error: {error}") from error
    cases = len(rows[ARMS[0]])
    summaries = {arm: summarise(own) for arm, own in rows.items()}
    lines = [
        f"## Real heads with simulated tumours, {arguments.size} size",
        "",
        f"{cases} unseen T2 copies of one person's head, each with its own tumour. They are not independent: the "
        "spread is that of tumours and not of people.",
        "",
        table1(summaries).markdown,
        "",
        *provenance([arguments.out]),
    ]
    publish(lines, f"real_heads {arguments.size}", arguments.out, arguments.page)


def scored(arguments: argparse.Namespace) -> dict[str, list[Row]]:
    """The tumours' rows of scores of every arm, from data that are made where they are not there yet."""
    config = configure(arguments.size)
    edition = get_edition(config.edition)
    data = PHANTOM.folder(arguments.out) / "data"
    if not (data / RECORD).is_file():
        rng = np.random.default_rng(config.seed)
        make_data(arguments.data, data, edition, COPIES[arguments.size], rng)
    run_stages(config, arguments.out, data, report=print)

    found = {}
    for arm in ARMS:
        # Only tumours are simulated; the cochleae of these heads have no labels.
        rows = score_arm(arguments.out, arm, edition)
        found[arm] = [row for row in rows if row["structure"] == TUMOUR]
    return found


def configure(size: str) -> RunConfig:
    """The configuration of the phantom demo at `size`, told to take data from a folder."""
    config = sized(read_config(CONFIG), size)
    return replace(config, name="real_heads", phantom=None, arms=ARMS)


def make_data(
    heads: Path, out_dir: Path, edition: Edition, copies: int, rng: np.random.Generator, turn: int = 0
) -> None:
    """Write the two training domains and the unseen T2 with their labels, in the edition's layout.

    Args:
        heads: Folder of the images.
        out_dir: Where the data go.
        edition: Whose layout and label values they have.
        copies: Of each image, every one with its own tumour.
        rng: Samples tumours and changes.
        turn: Which split of the people, as `split` counts them.

    Raises:
        InputError: Fewer than three people have both T1 and T2.
    """
    tumour_label = edition.values_of(TUMOUR)[0]
    record = {}
    for domain, paths in split(heads, turn).items():
        contrast = "T1" if domain == "source" else "T2"
        for path in paths:
            image = read_scan(path)
            canals = canals_of(path)
            case, _ = case_of_image(path)
            for copy in range(copies):
                name = f"{case}x{copy}"
                side = "left" if rng.random() < 0.5 else "right"
                volume_mm3 = sample_volume(rng, VOLUME_MM3)
                implanted, label, tumour = implant(image, canals[side], volume_mm3, contrast, rng)
                # The tumour's parts are of 2023; all of it is one label here.
                whole = np.where(label.voxels > 0, tumour_label, 0).astype(np.uint8)
                altered, label = alter(implanted, label.with_voxels(whole), rng)

                image_out, label_out = places(out_dir, edition, domain, name)
                write_volume(label_out, label)
                write_volume(image_out, altered)
                record[name] = {"domain": domain, "side": side, "volume_mm3": round(tumour.volume_mm3, 1)}
                print(f"{image_out.name}: {tumour.tumour_class}, {tumour.volume_mm3:.0f} mm3, {side}")
    write_json(out_dir / RECORD, record)


def split(heads: Path, turn: int = 0) -> dict[str, list[Path]]:
    """T1 of the first person with both contrasts, T2 of the last for validation, T2 of those between for training.

    Args:
        heads: Folder of the images.
        turn: By how many people the order is turned, so that each can be the unseen one.

    Returns:
        Images by domain.

    Raises:
        InputError: Fewer than three people have both.
    """
    whole = list(people_of(heads).values())
    if len(whole) < 3:
        raise InputError(f"{heads}: {len(whole)} people have both T1 and T2; three are needed")
    first, *between, last = whole[turn:] + whole[:turn]
    return {
        "source": [path for path in first["T1"] if t2_of(path).is_file()],
        "target": [path for person in between for path in person["T2"]],
        "validation": last["T2"],
    }


def people_of(heads: Path) -> dict[str, dict[str, list[Path]]]:
    """Images by person and contrast, of those who have both T1 and T2."""
    people: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(heads.glob("*.nii.gz")):
        case, contrast = case_of_image(path)
        if contrast:
            person = people.setdefault(re.sub(r"s\d+$", "", case), {})
            person.setdefault(contrast, []).append(path)
    return {name: person for name, person in people.items() if {"T1", "T2"} <= person.keys()}


def t2_of(t1_path: Path) -> Path:
    """The T2 of the same session."""
    return t1_path.with_name(t1_path.name.replace("_T1", "_T2"))


def canals_of(path: Path) -> dict[str, Canal]:
    """Both canals of an image: found on a T2, brought over from the session's T2 for a T1."""
    _, contrast = case_of_image(path)
    if contrast == "T2":
        return find_canals(read_scan(path))
    t2 = read_scan(t2_of(path))
    transform = align(read_scan(path), t2)
    found = find_canals(t2)
    return {side: canal.moved(transform) for side, canal in found.items()}


def places(out_dir: Path, edition: Edition, domain: str, name: str) -> tuple[Path, Path]:
    """Where image and label of a case belong; T2 labels lie apart, as in a phantom population."""
    if domain == "source":
        sources = out_dir / edition.source_folder
        return sources / edition.source_name(name), sources / edition.label_name(name)
    folder = edition.target_folder if domain == "target" else edition.validation_folder
    references = edition.references_of(out_dir, folder)
    return out_dir / folder / edition.target_name(name), references / edition.label_name(name)


def alter(image: Volume, label: Volume, rng: np.random.Generator) -> tuple[Volume, Volume]:
    """Image and label bent alike, mirrored or not; the image brightened or darkened in its middle range."""
    size, spacing = image.geometry.size_zyx, image.geometry.spacing_zyx
    # Random displacements on a coarse grid, straight between its knots.
    knots = [max(2, round(n * step / BEND_OVER_MM) + 1) for n, step in zip(size, spacing, strict=True)]
    factors = np.array(size) / knots
    where = []
    for axis, step in enumerate(spacing):
        coarse_mm = rng.normal(0, BEND_MM, knots)
        field_mm = zoom(coarse_mm, factors, order=1, grid_mode=True, mode="nearest")  # (Z, Y, X)
        along = [1, 1, 1]
        along[axis] = -1
        ramp = np.arange(size[axis]).reshape(along)
        # Slices are too thick to be bent through one another.
        displacement = field_mm / step if axis else 0 * field_mm
        where.append(ramp + displacement)
    bent = map_coordinates(image.voxels, where, order=1, mode="nearest")
    labels = map_coordinates(label.voxels, where, order=0, mode="nearest")

    if rng.random() < 0.5:
        bent = bent[:, :, ::-1]
        labels = labels[:, :, ::-1]

    # Black and the brightest stay, what lies between is lifted or lowered.
    top = float(bent.max())
    exponent = float(np.exp(rng.normal(0, GAMMA)))
    bent = top * (np.maximum(bent, 0) / top) ** exponent
    return image.with_voxels(bent.astype(np.float32)), label.with_voxels(np.ascontiguousarray(labels))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--page", type=Path, help="a page whose section is written as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
