"""`vestibule import`: DICOM and open collections, brought into the layouts that the other commands read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vestibule import logs
from vestibule.commands.options import EditionType, claim
from vestibule.editions import TUMOUR, Edition
from vestibule.errors import InputError
from vestibule.progress import progress_bar

if TYPE_CHECKING:
    from training.importing.collection import ImportSettings


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

    claim(out)
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


def split_options(command: Callable) -> Callable:
    """The options of every command that splits an open collection by patient."""
    options = (
        click.option("--edition", default="2021", show_default=True, type=EditionType(), help="Whose layout OUT gets."),
        click.option(
            "--shares", default="105,105,32", show_default=True, help="Patients of labelled T1, T2 and unseen T2."
        ),
        click.option("--seed", default=0, show_default=True, help="Of the split; one seed gives one split."),
        click.option(
            "--workers", type=click.IntRange(min=1), help="Processes to use; 1: this one.  [default: the cores]"
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@import_data.command(name="tcia-vs-seg")
@click.argument("download", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--contours", type=click.Path(path_type=Path), help="Folder of vs_gk_N_t1 and vs_gk_N_t2, for RTSTRUCT.")
@click.option("--names", type=click.Path(path_type=Path), help="YAML of further names: vs, cochlea, ignore.")
@split_options
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
    from training.importing.tcia_vs_seg import COLLECTION, read_patient

    settings = _settings(edition, shares, seed, workers)
    expressions = read_names(names) if names else NAMES
    reader = (read_patient, (edition, expressions, contours))
    folders = COLLECTION.patient_folders(download)
    difference = COLLECTION.difference(folders)
    if difference:
        logs.tell(f"note: {download}: {difference}; its split is not that of the whole collection", logging.WARNING)
    claim(out)
    failed = import_collection(COLLECTION, folders, reader, out, settings)
    _tell_outcome(COLLECTION.title, download, out, failed)


@import_data.command(name="mc-rc")
@click.argument("download", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--masks",
    required=True,
    type=click.Path(path_type=Path),
    help="The collection's segmentations, unpacked: NIfTI files and their table.",
)
@split_options
def mc_rc(
    download: Path, out: Path, masks: Path, edition: Edition, shares: str, seed: int, workers: int | None
) -> None:
    """Write Vestibular-Schwannoma-MC-RC, as TCIA delivers it, to OUT in the challenge's shape.

    Patients are split by chance into labelled T1, unlabelled T2 and unseen T2 with references; all dates of a patient
    are in one part, and cases are called by patient and date. Only the tumour is outlined. The images are those of the
    challenge under other names: a bundle that was trained on them is outside of its rules, and says so.
    """
    from training.importing.collection import import_collection
    from training.importing.mc_rc import COLLECTION, contrasts_of, read_patient, read_table
    from vestibule.dicom.naming import case_name

    settings = _settings(edition, shares, seed, workers)
    outlined = read_table(masks)
    folders = COLLECTION.patient_folders(download)
    contrasts = contrasts_of(folders, outlined)
    with_masks = [folder for folder in folders if case_name(folder.name) in contrasts]
    left_out = len(folders) - len(with_masks)
    if left_out:
        logs.tell(f"note: {left_out} of {len(folders)} patients have no mask in {masks} and are left out")
    if not with_masks:
        raise InputError(f"{download}: none of its patients has a mask in {masks}")
    reader = (read_patient, (edition, outlined))
    claim(out)
    failed = import_collection(COLLECTION, with_masks, reader, out, settings, contrasts)
    _tell_outcome(COLLECTION.title, download, out, failed)


def _settings(edition: Edition, shares: str, seed: int, workers: int | None) -> ImportSettings:
    """What a data set is made like, by the options. Raises a usage error for an edition that has no single tumour."""
    from training.importing.collection import ImportSettings

    if len(edition.values_of(TUMOUR)) > 1:
        raise click.UsageError(f"edition {edition.year} tells parts of the tumour apart, which the collection does not")
    return ImportSettings(edition, _shares(shares), seed, workers)


def _tell_outcome(title: str, download: Path, out: Path, failed: list[str]) -> None:
    """Say where the data set is. Raises InputError where a patient is not in it."""
    for line in failed:
        logs.tell(f"warning: {line}", logging.WARNING)
    logs.say(f"{title} in {out} (cases.csv lists its files)")
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
