"""The platform's contract: an image segments one job a run, called as exec or as a server."""

from __future__ import annotations

import re
from pathlib import Path

from contract.cases import GeneratedCase, write_job
from contract.runs import LINKED, ImageCheck, check_linked_input, check_run
from vestibule.errors import InputError
from vestibule.files import parse_json
from vestibule.inputs import PLATFORM_IMAGES, PLATFORM_RESULTS
from vestibule.volume import read_header, read_volume

_ONE_MASK = re.compile(rf"{PLATFORM_IMAGES}/[^/]+/[^/]+\.mha")


def check_platform_contract(check: ImageCheck, cases: list[GeneratedCase], method: str) -> None:
    """The platform's contract: one job a run."""
    run_job = check.invoke if method == "invoke" else check.run
    for number, case in enumerate(cases):
        # Today's key and the older one in turn.
        key = "interface" if number % 2 else "socket"
        job = write_job(case, check.scratch("job"), key)
        run, output = run_job(f"a job of the platform, {case.awkward}", job)
        if run.exit_code != 0 and method == "invoke":
            remedy = "answer /health with 200 and /invoke with 201"
            check.report.failed("platform: runs", run.outcome, remedy)
            return
        if not check_run(check, "platform", run, job):
            return
        _check_job_output(check, case, output)
    if check.report.status_of(LINKED) is None:
        job = write_job(cases[0], check.scratch("linked"))
        check_linked_input(check, job, method)


def _check_job_output(check: ImageCheck, case: GeneratedCase, output: Path) -> None:
    """What one job wrote: one mask, and results that are JSON where there are any."""
    images_dir = output / PLATFORM_IMAGES
    files = []
    for path in sorted(images_dir.rglob("*")):
        if path.is_file():
            files.append(path.relative_to(output).as_posix())
    fine = len(files) == 1 and _ONE_MASK.fullmatch(files[0]) is not None
    found = ", ".join(files) or "none"
    check.report.judge(
        "platform: one image",
        [] if fine else [f"found {found}"],
        case.awkward,
        "write exactly one .mha, to /output/images/<slug>/",
    )
    if fine:
        _check_job_mask(check, case, output / files[0])

    results = output / PLATFORM_RESULTS
    if not results.is_file():
        return
    problems = []
    try:
        parse_json(results.read_bytes())
    except ValueError as error:
        problems.append(str(error))
    check.report.judge(
        "platform: results.json",
        problems,
        "valid JSON",
        "write JSON without NaN and Infinity",
    )


def _check_job_mask(check: ImageCheck, case: GeneratedCase, path: Path) -> None:
    """The mask of one job: its type, its grid, its labels."""
    report = check.report
    try:
        geometry, voxel_type = read_header(path)
        voxels = read_volume(path).voxels
    except InputError as error:
        report.failed("platform: readable", str(error), "write a scalar 3-D image")
        return
    is_8_bit = voxel_type == "8-bit unsigned integer"
    report.judge(
        "platform: 8-bit",
        [] if is_8_bit else [voxel_type],
        voxel_type,
        "store labels as uint8",
    )

    image_geometry = case.volume.geometry
    tolerance_mm = 0.1 * min(image_geometry.spacing_zyx)
    same = image_geometry.describes(geometry, tolerance_mm)
    report.judge(
        "platform: geometry",
        [] if same else [f"{case.awkward}: lies elsewhere than the image"],
        f"{case.awkward}: on the image's grid",
        "copy spacing, origin and direction from the image, and undo every flip and resampling",
    )

    foreign = check.edition.foreign_labels(voxels)
    report.judge(
        "platform: labels",
        [f"holds {foreign[:5]}"] if foreign else [],
        f"within {check.edition.labels}",
        "write the edition's labels alone",
    )
