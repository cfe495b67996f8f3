"""The command `vestibule predict`: masks of every T2 image in a folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vestibule import logs
from vestibule.commands.options import claim, edition_option, json_option, write_result
from vestibule.errors import InputError
from vestibule.files import printable
from vestibule.formats import FORMATS, check_formats, check_names, write_formats, write_once
from vestibule.inputs import Case, Selection, find_cases, holds_dicom, image_stem, masks_of_others, prepare_output
from vestibule.progress import progress_bar
from vestibule.weights import Bundle, find_bundle, open_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from vestibule.dicom.conversion import Converted
    from vestibule.editions import Edition
    from vestibule.pipeline import Model
    from vestibule.predict import Outcome
    from vestibule.volume import Volume

IMAGES = "images"
"""Folder in OUTPUT that gets the images of DICOM series."""


@click.command()
@click.argument("input_path", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("output_dir", metavar="OUTPUT", type=click.Path(path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), help="Bundle of weights; by default the installed one.")
@edition_option("Names of the masks; by default the bundle's.")
@click.option("--arm", help="Which of the bundle's networks to use; by default its own choice.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where networks run; auto: a GPU if there is one.",
)
@click.option(
    "--write",
    "formats",
    multiple=True,
    type=click.Choice(FORMATS),
    help="Also write masks as this; may be repeated. names: tables of labels for 3D Slicer and ITK-SNAP; bids: a BIDS "
    "derivative in OUTPUT/bids.",
)
@click.option("--skip-existing", is_flag=True, help="Leave masks that are there; by default they are replaced.")
@click.option(
    "--strict", is_flag=True, help="Exit code 1 where a mask may be wrong. All masks are written all the same."
)
@json_option("what became of each image")
def predict(
    input_path: Path,
    output_dir: Path,
    weights: Path | None,
    edition: Edition | None,
    arm: str | None,
    device: str,
    formats: tuple[str, ...],
    skip_existing: bool,
    strict: bool,
    json_path: Path | None,
) -> None:
    """Segment the T2 images of the folder (or the one file) INPUT into masks in the folder OUTPUT.

    Reads .nii.gz, .nii and .mha, and DICOM: a folder of a series, or a tree of them, whose T2 series are written to
    OUTPUT/images first. Files that their names call T1 or a label are passed over. Each mask lies on exactly
    the grid of its image. An image that cannot be segmented costs no other its mask; the exit code is then 1.

    Warns of masks that may be wrong, as `vestibule screen` finds them, and of images that are no T2 of a head.
    """
    from vestibule.predict import Outcome, edition_for, failure_message

    bundle = open_bundle(find_bundle(weights))
    chosen = edition_for(bundle, edition)
    is_dicom = holds_dicom(input_path)
    check_formats(formats, is_dicom)
    converted = None
    images = input_path
    if is_dicom:
        _claim_output(output_dir)
        converted = _convert(input_path, output_dir / IMAGES)
        images = converted.folder
    selection = find_cases(images, output_dir, chosen)
    if converted is not None:
        # No other image that lies there is of this input.
        selection = _of_this_input(selection, converted)
    check_names(formats, selection.cases)
    if converted is None:
        _claim_output(output_dir)
    for refusal in selection.refused:
        logs.tell(f"no mask: {refusal}", logging.ERROR)

    existing: list[Case] = []
    cases: list[Case] = []
    for case in selection.cases:
        is_done = skip_existing and case.mask_path.exists()
        (existing if is_done else cases).append(case)
    outcome = Outcome()
    if cases:
        model = load_announced(bundle, arm, device)
        outcome = predict_with_progress(model.run, cases, chosen)
    if write_result(json_path, _document(outcome, existing, selection, bundle, chosen)):
        logs.say(_summary(outcome, existing, selection, output_dir))
    _tell_of_others(input_path, output_dir, selection, chosen)

    write_once(output_dir, formats, chosen)
    failures = [failure for _, failure in outcome.failures]
    failures.extend(selection.refused)
    failures.extend(_write_formats([*existing, *outcome.written], formats, chosen, converted))
    total = len(selection.cases) + len(selection.refused)
    if failures:
        raise InputError(failure_message(failures, total))
    if strict and outcome.warnings:
        first, reasons = outcome.warnings[0]
        raise InputError(
            f"{len(outcome.warnings)} of {total} masks may be wrong; the first, {first.mask_path}: {'; '.join(reasons)}"
        )


def _claim_output(output_dir: Path) -> None:
    """Make the folder for masks, and let nobody else write to it."""
    prepare_output(output_dir)
    claim(output_dir)


def _convert(input_path: Path, folder: Path) -> Converted:
    """The T2 series of a folder of DICOM files as images in `folder`."""
    from vestibule.dicom.conversion import convert

    converted = convert(input_path, folder)
    logs.tell(f"{len(converted.stacks)} T2 series of {input_path} are now in {folder}")
    if not converted.stacks:
        raise InputError(f"{input_path}: no series can be segmented, the first: {converted.refused[0]}")
    return converted


def _of_this_input(selection: Selection, converted: Converted) -> Selection:
    """The cases that were converted now, and what could not be."""
    cases = tuple(case for case in selection.cases if image_stem(case.image_path) in converted.stacks)
    refused = (*selection.refused, *converted.refused)
    return Selection(cases, refused)


def _write_formats(
    cases: list[Case], formats: tuple[str, ...], edition: Edition, converted: Converted | None
) -> list[str]:
    """Write masks in further formats. Returns one line for each mask that could not be."""
    failures = []
    for case in cases:
        try:
            write_formats(case, formats, edition, converted)
        except InputError as error:
            failures.append(str(error))
            logs.tell(str(error), logging.ERROR)
    return failures


def _tell_of_others(input_path: Path, output_dir: Path, selection: Selection, edition: Edition) -> None:
    """Name masks of an earlier run, so that nobody uploads them with those of this one."""
    # Of a single image, others are expected there.
    others = masks_of_others(output_dir, selection, edition) if input_path.is_dir() else []
    if others:
        first = printable(Path(others[0].name))
        logs.tell(f"note: {len(others)} masks in {output_dir} are of no image of this run ({first})", logging.WARNING)


def load_announced(bundle: Bundle, arm: str | None, device: str) -> Model:
    """The model of a bundle, after saying on stderr what it is for and where it runs.

    Args:
        bundle: Verified weights.
        arm: One of the bundle's arms; None for its default.
        device: `auto`, `cpu` or `cuda`.

    Returns:
        The model, on the device.

    Raises:
        InputError: The bundle lacks the arm, its parts do not fit each other, or the device is not there.
    """
    if bundle.notice:
        logs.tell(f"notice: {bundle.notice}", logging.WARNING)
    # Torch takes seconds to import, and the notice need not wait for it.
    from vestibule.pipeline import load_model

    model = load_model(bundle.path, bundle.arm(arm), device)
    no_gpu = " (no GPU found)" if device == "auto" and model.device.type == "cpu" else ""
    logs.tell(f"weights {bundle.manifest['name']}, arm {model.arm}, on {model.device}{no_gpu}")
    return model


def predict_with_progress(run: Callable[[Volume], Volume], cases: list[Case], edition: Edition) -> Outcome:
    """`predict_cases` with progress on stderr and a line for each failure."""
    from vestibule.predict import predict_cases

    done = 0
    with progress_bar("segmenting", len(cases)) as advance:

        def report(case: Case, failure: str | None, warnings: tuple[str, ...]) -> None:
            nonlocal done
            done += 1
            if failure:
                logs.tell(f"no mask: {failure}", logging.ERROR)
            advance(done, None)

        return predict_cases(run, cases, edition, report)


def _summary(outcome: Outcome, existing: list[Case], selection: Selection, output_dir: Path) -> str:
    """The line on stdout: masks written, masks that were there, files passed over."""
    written = len(outcome.written)
    line = f"{written} {'mask' if written == 1 else 'masks'} written to {output_dir}"
    if outcome.warnings:
        line += f", {len(outcome.warnings)} of which may be wrong"
    if existing:
        line += f", {len(existing)} already there"
    if selection.passed_over:
        line += f", {len(selection.passed_over)} other files passed over (T1, labels, no images)"
    return line


def _document(
    outcome: Outcome, existing: list[Case], selection: Selection, bundle: Bundle, edition: Edition
) -> dict[str, object]:
    """What `--json` writes: each image with its mask, or the cause where it has none, and what speaks against it."""
    failures = dict(outcome.failures)
    warnings = {case: list(reasons) for case, reasons in outcome.warnings}
    cases = []
    for case in selection.cases:
        failure = failures.get(case)
        entry = {
            "case": case.name,
            "image": str(case.image_path),
            "mask": None if failure else str(case.mask_path),
            "was_there": case in existing,
            "warnings": warnings.get(case, []),
            "failure": failure,
        }
        cases.append(entry)
    return {
        "weights": bundle.manifest["name"],
        "edition": edition.year,
        "cases": cases,
        "refused": list(selection.refused),
        "passed_over": [str(path) for path in selection.passed_over],
    }
