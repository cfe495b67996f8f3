"""The command `vestibule check`."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

import click

from vestibule.check.report import Report
from vestibule.editions import EDITIONS, get_edition
from vestibule.errors import InputError


@click.command()
@click.argument("subject", metavar="SUBMISSION")
@click.option(
    "--edition", type=click.Choice([str(year) for year in EDITIONS]), default="2022", show_default=True,
    help="Whose names and labels hold.",
)  # fmt: skip
@click.option(
    "--images", "images_dir", type=click.Path(path_type=Path), help="For masks: the folder of T2 images they belong to."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def check(subject: str, edition: str, images_dir: Path | None, as_json: bool) -> None:
    """Check SUBMISSION against the contract, point by point: a folder or a zip of masks, or an image.

    An image is named as docker or podman knows it, or as the .tar.gz of its archive.
    Exit codes: 0 no point is broken, 1 a point is broken or nothing could be checked, 2 wrong usage.
    """
    path = Path(subject)
    report = Report(subject)
    if path.is_dir():
        _check_folder(path, edition, images_dir, report)
    elif path.is_file() and (zipfile.is_zipfile(path) or path.suffix == ".zip"):
        with tempfile.TemporaryDirectory(prefix="vestibule-check-") as folder:
            from vestibule.check.unpack import unpack

            unpack(path, Path(folder))
            report.passed("zip", "plain files alone, within bounds")
            _check_folder(Path(folder), edition, images_dir, report)
    else:
        raise InputError(f"{subject}: no such folder, zip of masks or image")
    click.echo(report.as_json() if as_json else report.as_text())
    if report.failures:
        broken = ", ".join(dict.fromkeys(finding.point for finding in report.failures))
        raise InputError(f"{subject}: broken: {broken}")


def _check_folder(folder: Path, edition: str, images_dir: Path | None, report: Report) -> None:
    from vestibule.check.predictions import check_predictions

    def with_bar(paths):
        with click.progressbar(paths, label="reading masks", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            yield from bar

    check_predictions(folder, get_edition(int(edition)), report, images_dir, with_bar)
