"""The command `vestibule check`."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click

from contract.archive import check_image_archive
from contract.gpu import GPUS
from contract.report import Report
from vestibule import logs
from vestibule.commands.options import (
    edition_option,
    images_option,
    json_option,
    resolve_edition,
    write_result,
)
from vestibule.editions import EDITIONS, Edition
from vestibule.errors import InputError


@click.command()
@click.argument("subject", metavar="SUBMISSION")
@edition_option("Whose names and labels hold; by default the one that the case names tell. An image needs it.")
@images_option("For masks: the folder of T2 images that they belong to.")
@click.option(
    "--contract",
    type=click.Choice(["both", "folder", "platform", "evaluation"]),
    default="both",
    show_default=True,
    help="For an image: the organisers' flat folder, Grand Challenge's job, or both; `evaluation` for one that scores.",
)
@click.option("--dicom", is_flag=True, help="For an image: the phase's socket is a DICOM image set, and no file.")
@click.option("--full-size", is_flag=True, help="For an image: also run a case of 448 x 448 x 80 voxels.")
@click.option("--time-limit", type=click.FloatRange(min=1), default=600, show_default=True, help="Seconds for one run.")
@click.option("--gpu", type=click.Choice(list(GPUS)), help="For an image: the GPU that the challenge runs it on.")
@click.option("--engine", help="docker or podman; by default $ENGINE, else the first that is there.")
@json_option("the report")
def check(
    subject: str,
    edition: Edition | None,
    images: Path | None,
    contract: str,
    dicom: bool,
    full_size: bool,
    time_limit: float,
    gpu: str | None,
    engine: str | None,
    json_path: Path | None,
) -> None:
    """Check SUBMISSION against the contract, point by point: a folder or a zip of masks, or an image.

    An image is named as docker or podman knows it, or as the .tar.gz of its archive; it is run on generated cases in a
    sandbox as strict as the platform's. Nothing that it holds is run outside that sandbox.
    Exit codes: 0 no point is broken, 1 a point is broken or nothing could be checked, 2 wrong usage.
    """
    path = Path(subject)
    report = Report(subject)
    if path.is_dir():
        _check_folder(path, edition, images, report)
    elif path.is_file() and (zipfile.is_zipfile(path) or path.suffix == ".zip"):
        _check_zip(path, edition, images, report)
    elif subject.startswith((".", "/")) and not path.exists():
        raise InputError(f"{subject}: no such file or folder")
    elif path.is_file() and not path.name.endswith((".tar", ".gz", ".tgz")):
        raise InputError(f"{subject}: neither a zip of masks nor a .tar.gz of an image")
    else:
        _check_image(subject, edition, report, contract, dicom, full_size, time_limit, gpu, engine)

    if write_result(json_path, report.as_document()):
        click.echo(report.as_text())

    # A point may be broken by several cases.
    broken = dict.fromkeys(finding.point for finding in report.failures)
    if broken:
        raise InputError(f"{subject}: broken: {', '.join(broken)}")


def _check_folder(folder: Path, given: Edition | None, images_dir: Path | None, report: Report) -> None:
    """Check the masks in a folder, with a progress bar on a terminal."""
    from contract.predictions import case_names, check_predictions

    edition = resolve_edition(given, case_names(folder, images_dir), report.subject)

    def with_bar(paths: list[Path]) -> Iterator[Path]:
        with click.progressbar(paths, label="reading masks", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            yield from bar

    check_predictions(folder, edition, report, images_dir, with_bar)


def _check_zip(path: Path, given: Edition | None, images_dir: Path | None, report: Report) -> None:
    """Check the masks in a zip, which is unpacked to a folder that goes again."""
    from vestibule.unpack import unpack

    with tempfile.TemporaryDirectory(prefix="vestibule-check-") as folder:
        unpack(path, Path(folder))
        report.passed("zip", "plain files alone, within bounds")
        _check_folder(Path(folder), given, images_dir, report)


def _check_image(
    subject: str,
    edition: Edition | None,
    report: Report,
    contract: str,
    dicom: bool,
    full_size: bool,
    time_limit_s: float,
    gpu: str | None,
    program: str | None,
) -> None:
    """Check an image, which an archive gives or the engine has."""
    from contract.image import check_image
    from contract.sandbox import Engine

    if edition is None:
        years = ", ".join(str(year) for year in EDITIONS)
        raise InputError(
            f"{subject}: an image is run on generated cases, whose names and labels differ between editions; "
            f"give one with --edition ({years})"
        )
    engine = Engine(program)
    with contextlib.ExitStack() as stack:
        image = subject
        if Path(subject).is_file():
            check_image_archive(Path(subject), report)
            image = stack.enter_context(engine.loaded(Path(subject)))
        named = GPUS[gpu] if gpu else None
        check_image(engine, image, edition, report, contract, full_size, time_limit_s, _announce, named, dicom)


def _announce(what: str) -> None:
    """Say on a terminal which run has begun: some take minutes."""
    if sys.stderr.isatty():
        logs.tell(f"running: {what}")
