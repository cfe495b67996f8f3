"""The platform's contract: an image segments one job a run, or one after the other as a server."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from contract.cases import GeneratedCase, write_job
from contract.runs import LINKED, ImageCheck, check_linked_input, check_run
from contract.server import SECOND, SECOND_REMEDY, serving
from vestibule.errors import InputError
from vestibule.files import parse_json
from vestibule.geometry import Geometry
from vestibule.inputs import PLATFORM_IMAGES, PLATFORM_RESULTS
from vestibule.volume import read_header, read_volume

TOLERANCE = 0.1
"""How far a mask may lie from its image, as a share of the finest spacing."""
_ONE_MASK = re.compile(rf"{PLATFORM_IMAGES}/[^/]+/[^/]+\.mha")


WriteJob = Callable[[GeneratedCase, Path, str], Path]
"""Writes a case as a job, with the key that a list of inputs has for a socket."""


def check_platform_contract(
    check: ImageCheck, cases: list[GeneratedCase], method: str, write: WriteJob = write_job
) -> None:
    """The platform's contract: one job a run, or one a request where the image is called by `invoke`.

    Args:
        check: The image under test.
        cases: What the jobs are of.
        method: How the image is called, `exec` or `invoke`.
        write: Writes a job as the phase's socket has it.
    """
    if method == "invoke":
        if not _check_server(check, cases, write):
            return
    else:
        for number, case in enumerate(cases):
            job = write(case, check.scratch("job"), _key(number))
            run, output = check.run(f"a job of the platform, {case.awkward}", job)
            if not check_run(check, "platform", run, job):
                return
            _check_job_output(check, case, output)

    if check.report.status_of(LINKED) is None:
        job = write(cases[0], check.scratch("linked"), _key(0))
        check_linked_input(check, job, method)


def _key(number: int) -> str:
    """What a list of inputs calls a socket: today's key and the older one in turn."""
    return "interface" if number % 2 else "socket"


def _check_server(check: ImageCheck, cases: list[GeneratedCase], write: WriteJob) -> bool:
    """One server is given one job after the other. Whether it did them all."""
    with serving(check, "platform") as server:
        if server is None:
            return False
        for number, case in enumerate(cases):
            write(case, server.input_dir, _key(number))
            if not server.do_job(f"a job of the platform, {case.awkward}"):
                return False
            if number and not _is_its_own(check, case, cases[:number], server.output_dir):
                return False
            _check_job_output(check, case, server.output_dir)
            if not server.renew():
                return True
    return True


def _is_its_own(check: ImageCheck, case: GeneratedCase, earlier: list[GeneratedCase], output: Path) -> bool:
    """Note whether the mask of a later job is its own, by the grid that it lies on; whether it is no earlier one's."""
    for path in sorted(output.rglob("*.mha")):
        try:
            geometry, _ = read_header(path)
        except InputError:
            # Another point tells of it.
            continue
        if _lies_on(case, geometry):
            check.report.passed(SECOND, f"{case.awkward}: its own mask")
            return True
        if any(_lies_on(other, geometry) for other in earlier):
            check.report.failed(SECOND, f"{case.awkward}: the mask of an earlier job", SECOND_REMEDY)
            return False
    return True


def _lies_on(case: GeneratedCase, geometry: Geometry) -> bool:
    """Whether a mask lies on the grid of a case."""
    own = case.volume.geometry
    return own.describes(geometry, TOLERANCE * min(own.spacing_zyx))


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

    same = _lies_on(case, geometry)
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
