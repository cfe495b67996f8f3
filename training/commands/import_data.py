"""`vestibule import`: DICOM and open collections, brought into the layouts that the other commands read."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from vestibule import logs
from vestibule.commands.options import EditionType
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.progress import progress_bar


@click.group(name="import")
def import_data() -> None:
    """Bring DICOM files and open collections into the layouts that train, predict and evaluate read."""


@import_data.command(name="dicom")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def dicom(folder: Path, out: Path) -> None:
    """Write every MR series in FOLDER to OUT as NIfTI: T1_contrast/, T1/, T2/ and other/, and series.csv.

    FOLDER is searched with all folders in it. Series are told apart by their names, else by echo and repetition
    times. One with missing, doubled or uneven slices, several directions, a tilted gantry or pixels that cannot be
    decoded is refused by name, and the others go on; the exit code is then 1.
    """
    from training.importing.dicom_folder import import_folder

    with progress_bar("series") as advance:
        imported = import_folder(folder, out, advance)
    refused = [item for item in imported if item.problem]
    for item in refused:
        logs.tell(f"warning: {item.problem}", logging.WARNING)
    logs.say(f"{len(imported) - len(refused)} series in {out}")
    if refused:
        raise InputError(
            f"{folder}: {len(refused)} of {len(imported)} series were refused, the first: {refused[0].problem}"
        )


@import_data.command(name="tcia-vs-seg")
@click.argument("download", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--contours", type=click.Path(path_type=Path), help="Folder of vs_gk_N_t1 and vs_gk_N_t2, for RTSTRUCT.")
@click.option("--names", type=click.Path(path_type=Path), help="YAML of further names: vs, cochlea, ignore.")
@click.option("--edition", default="2021", show_default=True, type=EditionType(), help="Whose layout OUT gets.")
@click.option("--shares", default="105,105,32", show_default=True, help="Patients of labelled T1, T2 and unseen T2.")
@click.option("--seed", default=0, show_default=True, help="Of the split; the same seed gives the same split.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes to use; 1: this one.  [default: the cores]")
def tcia_vs_seg(
    download: Path,
    out: Path,
    contours: Path | None,
    names: Path | None,
    edition: Edition,
    shares: str,
    seed: int,
    workers: int | None,
) -> None:
    """Write Vestibular-Schwannoma-SEG, as TCIA delivers it, to OUT in the challenge's shape.

    Patients are split by chance into labelled T1, unlabelled T2 and unseen T2 with references. cases.csv lists every
    file with its sha256 and what its structures were called. The images are those of the challenge under other names:
    a bundle that was trained on them is outside of its rules, and says so.
    """
    from training.importing.collection import import_collection
    from training.importing.names import NAMES, read_names
    from training.importing.tcia_vs_seg import COLLECTION, patient_folders, read_patient

    if len(edition.structures["vs"]) > 1:
        raise click.UsageError(f"edition {edition.year} tells parts of the tumour apart, which the collection does not")
    expressions = read_names(names) if names else NAMES
    reader = (read_patient, (edition, expressions, contours))
    folders = patient_folders(download)
    failed = import_collection(COLLECTION, folders, reader, out, edition, _shares(shares), seed, workers)
    for line in failed:
        logs.tell(f"warning: {line}", logging.WARNING)
    logs.say(f"{COLLECTION} in {out} (cases.csv lists its files)")
    if failed:
        raise InputError(f"{download}: {len(failed)} patients could not be imported, the first: {failed[0]}")


def _shares(text: str) -> tuple[int, int, int]:
    try:
        source, target, validation = (int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"expected three whole numbers such as 105,105,32, got {text!r}") from None
    if min(source, target, validation) < 0 or source + target + validation == 0:
        raise click.BadParameter(f"shares must not be negative and not all 0, got {text!r}")
    return source, target, validation
