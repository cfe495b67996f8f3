"""What mirrored images at prediction are worth: a bundle's arms with and without them, on images with references.

    python studies/mirroring.py weights/phantom IMAGES REFERENCES --out runs/mirroring

nnU-Net's networks of two dimensions then see four images in place of one, those of three eight, and their predictions
are averaged. Printed are the scores of each arm both ways, and the seconds of CPU of a case.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

from experiment import dice_difference, hardware, predict_and_score

from evaluation.reporting.table import TextTable, spread
from evaluation.scoring.scores import summarise
from training.run_folder import code_version
from vestibule.editions import COCHLEA, TUMOUR, get_edition
from vestibule.errors import InputError
from vestibule.files import read_json, write_json
from vestibule.manifest import MANIFEST_NAME
from vestibule.pipeline import load_model
from vestibule.weights import open_bundle

COLUMNS = (
    "arm",
    "mirrored",
    "VS Dice",
    "> 0.8",
    "VS ASSD (mm)",
    "cochlea Dice",
    "VS Dice, difference (95 %)",
    "CPU a case",
)


def main() -> None:
    """Print the table."""
    arguments = parse()
    try:
        manifest = open_bundle(arguments.bundle).manifest
        rows = []
        for arm in manifest["arms"]:
            rows += rows_of(arm, arguments)
    except InputError as error:
        raise SystemExit(f"mirroring: error: {error}") from error
    print(TextTable(COLUMNS, tuple(rows), names=2).markdown)
    print(f"\n- Code: `{code_version()}`\n- Hardware: {hardware()}")


def rows_of(arm: str, arguments: argparse.Namespace) -> list[tuple[str, ...]]:
    """Two lines of the table: an arm without mirrored images, and with them."""
    rows = []
    scored = {}
    for mirrored in (False, True):
        name = f"{arm}_mirrored" if mirrored else arm
        out = arguments.out / name
        model = load_model(mirroring(arguments.bundle, arm, mirrored, out / "bundle"), arm, "cpu")
        begin = time.process_time()
        edition = get_edition(model.edition)
        found = predict_and_score(model, arguments.images, arguments.references, out / "masks", out / "scores", edition)
        seconds = time.process_time() - begin
        scored[mirrored] = found

        summary = summarise(found)
        tumour = summary[TUMOUR]
        cases = {row["case"] for row in found}
        rows.append(
            (
                arm,
                "yes" if mirrored else "no",
                spread(tumour["dice"]),
                str(tumour["dice"]["over_0_8"]),
                spread(tumour["assd_mm"]),
                spread(summary[COCHLEA]["dice"]),
                dice_difference(scored[False], found) if mirrored else "",
                f"{seconds / len(cases):.2f} s",
            )
        )
    return rows


def mirroring(bundle: Path, arm: str, mirrored: bool, out: Path) -> Path:
    """A copy of a bundle whose arm asks mirrored images, or does not; one that is there is made anew."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(bundle, out)
    manifest = read_json(out / MANIFEST_NAME)
    segmenter = manifest["networks"][arm]["segmenter"]
    plans = read_json(out / f"{segmenter['plans']}.json")
    patch = plans["configurations"][segmenter["configuration"]]["patch_size"]
    segmenter["mirror_axes"] = list(range(len(patch))) if mirrored else []
    write_json(out / MANIFEST_NAME, manifest)
    return out


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="folder of a bundle of weights")
    parser.add_argument("images", type=Path, help="folder of T2 images")
    parser.add_argument("references", type=Path, help="folder of their references")
    parser.add_argument("--out", type=Path, required=True, help="folder for copies, masks and scores")
    return parser.parse_args()


if __name__ == "__main__":
    main()
