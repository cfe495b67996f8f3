"""The command `vestibule check`."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import zipfile
from pathlib import Path

import click

from contract.archive import check_image_archive
from contract.report import Report
from vestibule.editions import EDITIONS, Edition, get_edition
from vestibule.errors import InputError


@click.command()
@click.argument("subject", metavar="SUBMISSION")
@click.option(
    "--edition",
    type=click.Choice([str(year) for year in EDITIONS]),
    default="2022",
    show_default=True,
    help="Whose names and labels hold.",
)
@click.option(
    "--images", "images_dir", type=click.Path(path_type=Path), help="For masks: the folder of T2 images they belong to."
)
@click.option(
    "--contract",
    type=click.Choice(["both", "folder", "platform"]),
    default="both",
    show_default=True,
    help="For an image: the organisers' flat folder, Grand Challenge's job, or both.",
)
@click.option("--full-size", is_flag=True, help="For an image: also run a case of 448 x 448 x 80 voxels.")
@click.option("--time-limit", type=click.FloatRange(min=1), default=600, show_default=True, help="Seconds for one run.")
@click.option("--engine", help="docker or podman; by default $ENGINE, else the first that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def check(
    subject: str,
    edition: str,
    images_dir: Path | None,
    contract: str,
    full_size: bool,
    time_limit: float,
    engine: str | None,
    as_json: bool,
) -> None:
    """Check SUBMISSION against the contract, point by point: a folder or a zip of masks, or an image.

    An image is named as docker or podman knows it, or as the .tar.gz of its archive; it is run on generated cases in a
    sandbox as strict as the platform's. Nothing that it holds is run outside that sandbox.
    Exit codes: 0 no point is broken, 1 a point is broken or nothing could be checked, 2 wrong usage.
    """
    path, chosen = Path(subject), get_edition(int(edition))
    report = Report(subject)
    if path.is_dir():
        _check_folder(path, chosen, images_dir, report)
    elif path.is_file() and (zipfile.is_zipfile(path) or path.suffix == ".zip"):
        _check_zip(path, chosen, images_dir, report)
    elif subject.startswith((".", "/")) and not path.exists():
        raise InputError(f"{subject}: no such file or folder")
    elif path.is_file() and not path.name.endswith((".tar", ".gz", ".tgz")):
        raise InputError(f"{subject}: neither a zip of masks nor a .tar.gz of an image")
    else:
        from contract.image import check_image
        from contract.sandbox import Engine

        container_engine = Engine(engine)
        with contextlib.ExitStack() as stack:
            image = subject
            if path.is_file():
                check_image_archive(path, report)
                image = stack.enter_context(container_engine.loaded(path))
            check_image(container_engine, image, chosen, report, contract, full_size, time_limit, _announce)
    click.echo(report.as_json() if as_json else report.as_text())
    if report.failures:
        broken = ", ".join(dict.fromkeys(finding.point for finding in report.failures))
        raise InputError(f"{subject}: broken: {broken}")


def _check_folder(folder: Path, edition: Edition, images_dir: Path | None, report: Report) -> None:
    from contract.predictions import check_predictions

    def with_bar(paths):
        with click.progressbar(paths, label="reading masks", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            yield from bar

    check_predictions(folder, edition, report, images_dir, with_bar)


def _check_zip(path: Path, edition: Edition, images_dir: Path | None, report: Report) -> None:
    from contract.unpack import unpack

    with tempfile.TemporaryDirectory(prefix="vestibule-check-") as folder:
        unpack(path, Path(folder))
        report.passed("zip", "plain files alone, within bounds")
        _check_folder(Path(folder), edition, images_dir, report)


def _announce(what: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"running: {what}", err=True)
