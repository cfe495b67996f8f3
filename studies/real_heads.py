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
from experiment import SIZES, provenance, score_arm, sized
from scipy.ndimage import map_coordinates, zoom

from evaluation.reporting.table import table1
from evaluation.scoring.scores import summarise
from training.arms import BASELINE, ONESHOT, UPPER_BOUND
from training.config import RunConfig, read_config, stages_of
from training.implant.canals import Canal, align, find_canals
from training.implant.lesion import implant
from training.phantom.tumour import sample_volume
from training.runner import run_stage
from training.stage_table import PHANTOM
from vestibule.editions import Edition, case_of_image, get_edition
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.volume import Volume, read_scan, write_volume

ARMS = (BASELINE.name, ONESHOT.name, UPPER_BOUND.name)
COPIES = {"tiny": 2, "small": 12, "full": 40}
"""Copies of each image, every one with its own tumour."""
VOLUME_MM3 = (150.0, 4000.0)
BEND_MM = 2.0
"""Spread of the random displacements, which change over some 40 mm."""
GAMMA = 0.15
"""Spread of the logarithm of the exponent that changes brightness."""
CONFIG = Path(__file__).resolve().parents[1] / "configs" / "phantom.yaml"


def main() -> None:
    """Make the data, train, score, and print the section for the results page."""
    arguments = parse()
    try:
        config, data = configure(arguments.size), PHANTOM.folder(arguments.out) / "data"
        edition = get_edition(config.edition)
        if not (data / "implants.json").is_file():
            make_data(arguments.data, data, edition, COPIES[arguments.size], np.random.default_rng(config.seed))
        write_json(arguments.out / "data.json", {"data": str(data.resolve())})
        for stage in stages_of(config):
            run_stage(stage, config, arguments.out, print)
        scores = {arm: score_arm(arguments.out, arm, edition) for arm in ARMS}
    except InputError as error:
        raise SystemExit(f"real_heads: error: {error}") from error
    scores = {arm: [row for row in rows if row["structure"] == "vs"] for arm, rows in scores.items()}
    cases = len(scores[ONESHOT.name])
    text = [
        f"## Real heads with simulated tumours, {arguments.size} size",
        "",
        f"{cases} unseen T2 copies of one person's head, each with its own tumour. They are not independent: the "
        "spread is that of tumours and not of people.",
        "",
        table1({arm: summarise(rows) for arm, rows in scores.items()}).markdown,
        "",
        *provenance([arguments.out]),
    ]
    (arguments.out / "results.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))


def configure(size: str) -> RunConfig:
    """The configuration of the phantom demo at `size`, told to take data from a folder."""
    config = sized(read_config(CONFIG), size)
    return replace(config, name="real_heads", phantom=None, arms=ARMS)


def make_data(heads: Path, out_dir: Path, edition: Edition, copies: int, rng: np.random.Generator) -> None:
    """Write the two training domains and the unseen T2 with their labels, in the edition's layout, to `out_dir`.

    Raises InputError where fewer than three people have both T1 and T2.
    """
    record = {}
    for domain, image_paths in split(heads).items():
        for path in image_paths:
            image, canals = read_scan(path), canals_of(path)
            for copy in range(copies):
                name = f"{case_of_image(path)[0]}x{copy}"
                side = "left" if rng.random() < 0.5 else "right"
                contrast = "T1" if domain == "source" else "T2"
                painted, label, tumour = implant(image, canals[side], sample_volume(rng, VOLUME_MM3), contrast, rng)
                painted, label = alter(painted, label.with_voxels((label.voxels > 0).astype(np.uint8)), rng)
                image_out, label_out = places(out_dir, edition, domain, name)
                write_volume(label_out, label)
                write_volume(image_out, painted)
                record[name] = {"domain": domain, "side": side, "volume_mm3": round(tumour.volume_mm3, 1)}
                print(f"{image_out.name}: {tumour.tumour_class}, {tumour.volume_mm3:.0f} mm3, {side}")
    write_json(out_dir / "implants.json", record)


def split(heads: Path) -> dict[str, list[Path]]:
    """T1 of the first person with both contrasts, T2 of the last for validation, T2 of those between for training."""
    people: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(heads.glob("*.nii.gz")):
        case, contrast = case_of_image(path)
        if contrast:
            people.setdefault(re.sub(r"s\d+$", "", case), {}).setdefault(contrast, []).append(path)
    whole = [person for person in people.values() if {"T1", "T2"} <= person.keys()]
    if len(whole) < 3:
        raise InputError(f"{heads}: {len(whole)} people have both T1 and T2; three are needed")
    pairs = [path for path in whole[0]["T1"] if t2_of(path).is_file()]
    return {
        "source": pairs,
        "target": [path for person in whole[1:-1] for path in person["T2"]],
        "validation": whole[-1]["T2"],
    }


def t2_of(t1_path: Path) -> Path:
    """The T2 of the same session."""
    return t1_path.with_name(t1_path.name.replace("_T1", "_T2"))


def canals_of(path: Path) -> dict[str, Canal]:
    """Both canals of an image: found on a T2, brought over from the session's T2 for a T1."""
    if case_of_image(path)[1] == "T2":
        return find_canals(read_scan(path))
    t2 = read_scan(t2_of(path))
    transform = align(read_scan(path), t2)
    return {side: canal.moved(transform) for side, canal in find_canals(t2).items()}


def places(out_dir: Path, edition: Edition, domain: str, name: str) -> tuple[Path, Path]:
    """Where image and label of a case belong; T2 labels lie apart, as in a phantom population."""
    if domain == "source":
        folder = out_dir / edition.source_folder
        return folder / edition.source_name(name), folder / edition.label_name(name)
    folder = edition.target_folder if domain == "target" else edition.validation_folder
    return out_dir / folder / edition.target_name(name), out_dir / "references" / folder / edition.label_name(name)


def alter(image: Volume, label: Volume, rng: np.random.Generator) -> tuple[Volume, Volume]:
    """Image and label bent alike, mirrored or not; the image brightened or darkened in its middle range."""
    size, spacing = image.geometry.size_zyx, image.geometry.spacing_zyx
    knots = [max(2, round(n * step / 40) + 1) for n, step in zip(size, spacing, strict=True)]
    where = []
    for axis, (n, step) in enumerate(zip(size, spacing, strict=True)):
        field = zoom(rng.normal(0, BEND_MM, knots), np.array(size) / knots, order=1, grid_mode=True, mode="nearest")
        ramp = np.arange(n).reshape([-1 if other == axis else 1 for other in range(3)])
        # Slices are too thick to be bent through one another.
        where.append(ramp + (field / step if axis else 0 * field))
    bent = map_coordinates(image.voxels, where, order=1, mode="nearest")
    labels = map_coordinates(label.voxels, where, order=0, mode="nearest")
    if rng.random() < 0.5:
        bent, labels = bent[:, :, ::-1], labels[:, :, ::-1]
    top = float(bent.max())
    bent = top * (np.maximum(bent, 0) / top) ** float(np.exp(rng.normal(0, GAMMA)))
    return image.with_voxels(bent.astype(np.float32)), label.with_voxels(np.ascontiguousarray(labels))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="small")
    return parser.parse_args()


if __name__ == "__main__":
    main()
