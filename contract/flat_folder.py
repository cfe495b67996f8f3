"""The organisers' contract: an image segments all cases of a flat folder in one run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from contract.cases import GeneratedCase, full_size_case, write_flat
from contract.predictions import check_predictions
from contract.report import FAILED, Report
from contract.runs import ImageCheck, check_linked_input, check_run
from contract.sandbox import Run
from vestibule.errors import InputError

FULL_SIZE_SECONDS = 120
"""What a full-size case may take, with the sandbox's 4 GB."""
_OF_MASKS = ("names", "counts", "readable", "geometry", "integer type", "labels")


def check_folder_contract(check: ImageCheck, cases: list[GeneratedCase], full_size: bool, method: str) -> None:
    """The organisers' contract: all cases of a flat folder in one run."""
    flat = write_flat(cases, check.edition, check.scratch("flat"))
    run, output = check.run(f"{len(cases)} cases in one flat folder", flat)
    if method == "invoke" and run.exit_code is None and not any(output.iterdir()):
        remedy = "the organisers need one that segments a flat folder and ends"
        check.report.untested("folder: runs", "the image is a server, whatever lies in /input", remedy)
        return
    if not check_run(check, "folder", run, flat):
        return
    _check_masks(check, output, flat)
    again, output_again = check.run("the same once more", flat)
    _check_same_bytes(check.report, again, output, output_again)
    _check_bad_case(check, cases)
    one_case = write_flat(cases[:1], check.edition, check.scratch("linked"))
    check_linked_input(check, one_case)
    if full_size:
        _check_full_size(check)


def _check_masks(check: ImageCheck, output: Path, images: Path) -> None:
    """The points of a folder of masks, for the folder that the image wrote."""
    found = Report("masks")
    try:
        check_predictions(output, check.edition, found, images)
    except InputError:
        expected = check.edition.prediction_name("CASE")
        found.failed(
            "counts",
            "/output is empty",
            f"write {expected} for each case",
        )
    for finding in found.findings:
        # Of a network that was never trained for them, small heads have odd volumes: no fault of the image.
        if finding.point in _OF_MASKS or finding.status == FAILED:
            named = replace(finding, point=f"folder: {finding.point}")
            check.report.findings.append(named)


def _check_same_bytes(report: Report, again: Run, output: Path, output_again: Path) -> None:
    """Whether a second run wrote the same."""
    if again.exit_code != 0:
        report.failed(
            "same twice",
            f"the second run: {again.outcome}",
            "the same input must give the same output",
        )
        return
    names: set[str] = set()
    for folder in (output, output_again):
        names.update(path.name for path in folder.iterdir())
    differing = []
    for name in sorted(names):
        first, second = output / name, output_again / name
        both_there = first.is_file() and second.is_file()
        if not both_there or first.read_bytes() != second.read_bytes():
            differing.append(name)
    if differing:
        shown = ", ".join(differing[:5])
        remedy = "fix the seeds; a mask that changes from run to run cannot be reproduced"
        report.warn("same twice", f"{shown} differ", remedy)
    else:
        report.passed("same twice", f"{len(names)} files, byte by byte")


def _check_bad_case(check: ImageCheck, cases: list[GeneratedCase]) -> None:
    """Whether a truncated image costs no other its mask, and is named."""
    bad, good = cases[:2]
    flat = write_flat([bad, good], check.edition, check.scratch("bad"))
    bad_image = flat / check.edition.target_name(bad.name)
    content = bad_image.read_bytes()
    half = len(content) // 2
    bad_image.write_bytes(content[:half])
    run, output = check.run("a truncated case beside a good one", flat)

    good_mask = check.edition.prediction_name(good.name)
    bad_mask = check.edition.prediction_name(bad.name)
    problems = []
    if run.exit_code == 0:
        problems.append("exit code 0, as if nothing had happened")
    if not (output / good_mask).is_file():
        problems.append(f"{good_mask}, the mask of the good case, is missing")
    if bad.name not in run.last_line:
        problems.append(f"the last line on stderr does not name the case: {run.last_line[:200]!r}")
    if (output / bad_mask).exists():
        problems.append("the truncated image has a mask")
    check.report.judge(
        "folder: a bad case",
        problems,
        "named; the good case has its mask",
        "finish the other cases, then exit with a code that is not 0 and name the file on the last line of stderr",
    )


def _check_full_size(check: ImageCheck) -> None:
    """Whether a case as large as the challenge's fits into the sandbox's memory, and into its time."""
    rng = np.random.default_rng(0)
    case = full_size_case(check.edition, rng)
    large = write_flat([case], check.edition, check.scratch("large"))
    run, _ = check.run("a full-size case", large)
    fits = run.exit_code == 0 and run.seconds <= FULL_SIZE_SECONDS
    check.report.judge(
        "full-size case",
        [] if fits else [run.outcome],
        f"{run.seconds:.0f} s",
        f"a full-size case must fit into 4 GB and {FULL_SIZE_SECONDS} s: crop, batch, keep fewer copies",
    )
