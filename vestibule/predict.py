"""`vestibule predict`: masks of every T2 image in a folder. `process.py` segments through the same `predict_cases`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from vestibule.editions import EDITIONS, Edition, get_edition
from vestibule.errors import InputError
from vestibule.inputs import Case, Selection, find_cases, prepare_output
from vestibule.volume import Volume, read_scan, write_volume
from vestibule.weights import Bundle, find_bundle, open_bundle

if TYPE_CHECKING:
    from vestibule.pipeline import Model

logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What became of a batch."""

    written: list[Case] = field(default_factory=list)
    failures: list[tuple[Case, str]] = field(default_factory=list)
    """Cases without a mask, each with one line that names the file and the cause."""


def predict_cases(
    run: Callable[[Volume], Volume],
    cases: Iterable[Case],
    edition: Edition,
    report: Callable[[Case, str | None], None] = lambda case, failure: None,
) -> Outcome:
    """Segment `cases` one after the other; one that fails loses no other.

    `run` gives the uint8 mask of a volume. `report` is called after each case, with the failure's line or None.
    """
    outcome = Outcome()
    for case in cases:
        failure = None
        try:
            predict_case(run, case, edition)
            outcome.written.append(case)
        except InputError as error:
            failure = " ".join(str(error).split())
            outcome.failures.append((case, failure))
            logger.debug("%s failed", case.name, exc_info=True)
        report(case, failure)
    return outcome


def predict_case(run: Callable[[Volume], Volume], case: Case, edition: Edition) -> None:
    """Read one image, segment it with `run` and write its mask whole, on exactly the image's grid.

    Raises InputError, naming the file and the cause, whatever goes wrong with this case.
    """
    _keep_inputs(case)
    volume = read_scan(case.image_path)
    try:
        mask = run(volume)
    except InputError as error:
        raise InputError(f"{case.image_path}: {error}") from error
    except Exception as error:  # One image that a library chokes on must not end the batch.
        cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise InputError(f"{case.image_path}: segmentation failed ({cause})") from error
    _check_mask(case, mask, volume, edition)
    write_volume(case.mask_path, mask, like=case.image_path)


def failure_message(failures: list[str], total: int) -> str:
    """The last line on stderr: the failure, and how many there were of how many images."""
    if total == 1:
        return failures[0]
    counted = f"{len(failures)} of {total} images have no mask"
    return f"{counted}: {failures[0]}" if len(failures) == 1 else f"{counted}; the first: {failures[0]}"


def edition_for(bundle: Bundle, year: int | None) -> Edition:
    """The edition of `year`, or the bundle's own. Raises InputError where the two give labels another meaning."""
    own = get_edition(bundle.manifest["edition"])
    edition = own if year is None else get_edition(year)
    if edition.structures != own.structures:
        raise InputError(
            f"{bundle.path}: its masks carry the labels of edition {own.year} {own.structures}, "
            f"which mean something else in edition {edition.year} {edition.structures}"
        )
    return edition


def load_announced(bundle: Bundle, arm: str | None, device: str) -> Model:
    """The model of a bundle, after saying on stderr what it is for and where it runs.

    Raises InputError where the bundle lacks the arm, its parts do not fit each other, or the device is not there.
    """
    if bundle.notice:
        click.echo(f"notice: {bundle.notice}", err=True)
    from vestibule.pipeline import load_model

    try:
        model = load_model(bundle.path, bundle.arm(arm), None if device == "auto" else device)
    except (KeyError, TypeError, RuntimeError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{bundle.path}: whole, but its networks and tensors do not fit each other ({cause})"
        ) from error
    no_gpu = " (no GPU found)" if device == "auto" and model.device.type == "cpu" else ""
    click.echo(f"weights {bundle.manifest['name']}, arm {model.arm}, on {model.device}{no_gpu}", err=True)
    return model


@click.command()
@click.argument("input_path", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("output_dir", metavar="OUTPUT", type=click.Path(path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), help="Bundle of weights; by default the installed one.")
@click.option(
    "--edition",
    type=click.Choice([str(year) for year in EDITIONS]),
    help="Names of the masks; by default the bundle's.",
)
@click.option("--arm", help="Which of the bundle's networks to use; by default its own choice.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--skip-existing", is_flag=True, help="Leave masks that are there; by default they are replaced.")
def predict(
    input_path: Path,
    output_dir: Path,
    weights: Path | None,
    edition: str | None,
    arm: str | None,
    device: str,
    skip_existing: bool,
) -> None:
    """Segment the T2 images of the folder (or the one file) INPUT into masks in the folder OUTPUT.

    Reads .nii.gz, .nii and .mha. Files that their names call T1 or a label are passed over. Each mask lies on exactly
    the grid of its image. An image that cannot be segmented costs no other its mask; the exit code is then 1.
    """
    bundle = open_bundle(find_bundle(weights))
    chosen = edition_for(bundle, None if edition is None else int(edition))
    selection = find_cases(input_path, output_dir, chosen)
    prepare_output(output_dir)
    existing = [case for case in selection.cases if skip_existing and case.mask_path.exists()]
    cases = [case for case in selection.cases if case not in existing]
    for refusal in selection.refused:
        click.echo(f"no mask: {refusal}", err=True)
    outcome = Outcome()
    if cases:
        model = load_announced(bundle, arm, device)
        outcome = predict_with_progress(model.run, cases, chosen)
    click.echo(_summary(outcome, existing, selection, output_dir))
    failures = [*(failure for _, failure in outcome.failures), *selection.refused]
    if failures:
        raise InputError(failure_message(failures, len(selection.cases) + len(selection.refused)))


def predict_with_progress(run: Callable[[Volume], Volume], cases: list[Case], edition: Edition) -> Outcome:
    """`predict_cases` with a progress bar on stderr (nothing where it is no terminal) and a line for each failure."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, TextColumn("left"), TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("segmenting", total=len(cases))

        def report(case: Case, failure: str | None) -> None:
            if failure:
                console.print(f"no mask: {failure}", markup=False, highlight=False, soft_wrap=True)
            progress.advance(task)

        return predict_cases(run, cases, edition, report)


def _keep_inputs(case: Case) -> None:
    if case.mask_path.exists() and case.mask_path.parent.samefile(case.image_path.parent):
        raise InputError(
            f"{case.image_path}: its mask would replace {case.mask_path.name} beside it; name another OUTPUT"
        )


def _check_mask(case: Case, mask: Volume, volume: Volume, edition: Edition) -> None:
    if mask.geometry != volume.geometry or mask.voxels.dtype != np.uint8:
        raise InputError(f"{case.image_path}: the model gave no uint8 mask on the image's grid; the weights do not fit")
    foreign = set(np.unique(mask.voxels).tolist()) - set(edition.labels)
    if foreign:
        raise InputError(
            f"{case.image_path}: the mask holds labels {sorted(foreign)}, edition {edition.year} knows {edition.labels}"
        )


def _summary(outcome: Outcome, existing: list[Case], selection: Selection, output_dir: Path) -> str:
    written = len(outcome.written)
    line = f"{written} {'mask' if written == 1 else 'masks'} written to {output_dir}"
    if existing:
        line += f", {len(existing)} already there"
    if selection.passed_over:
        line += f", {len(selection.passed_over)} other files passed over (T1, labels, no images)"
    return line
