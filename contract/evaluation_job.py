"""The platform's contract of an image that scores: the jobs of a submission in, `metrics.json` out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from contract.cases import SLUG, GeneratedCase
from contract.runs import ImageCheck, check_run
from contract.server import SECOND, SECOND_REMEDY, serving
from vestibule.editions import Edition
from vestibule.files import parse_json, write_json
from vestibule.inputs import PLATFORM_IMAGES
from vestibule.volume import Volume, write_volume

REFERENCES = "/opt/ml/input/data/ground_truth"
"""Where the platform unpacks the references."""
LISTING = "predictions.json"
METRICS = "metrics.json"
OUTPUT_SLUG = "vestibular-schwannoma-and-cochlea"
"""Image output of the generated jobs."""
SHIFT_VOX = 2
"""How far the masks of the second submission lie off."""
CONTRACT = "evaluation"


def check_evaluation_contract(check: ImageCheck, cases: list[GeneratedCase], method: str) -> None:
    """Score a submission as good as the references, then one whose masks are shifted.

    Args:
        check: The image under test.
        cases: What the submissions are of.
        method: How the image is called, `exec` or `invoke`.
    """
    references = check.scratch("references")
    for case in cases:
        write_volume(references / check.edition.label_name(case.name), mask_of(case, check.edition))
    flags = ("--volume", f"{references.resolve()}:{REFERENCES}:ro")
    submissions = {"a perfect submission": 0, "a shifted submission": SHIFT_VOX}
    if method == "invoke":
        _check_server(check, cases, submissions, flags)
        return
    for what, shift in submissions.items():
        folder = write_submission(cases, check.edition, check.scratch("submission"), shift)
        run, output = check.run(what, folder, True, *flags)
        if not check_run(check, CONTRACT, run, folder, *flags):
            return
        _check_metrics(check, output, what)


def mask_of(case: GeneratedCase, edition: Edition, shift_vox: int = 0) -> Volume:
    """A mask on the grid of a case: a box of each structure, shifted along x by so many voxels."""
    size_z, size_y, size_x = case.volume.geometry.size_zyx
    voxels = np.zeros((size_z, size_y, size_x), dtype=np.uint8)
    half = size_x // 2
    for number, structure in enumerate(edition.structures):
        left = half + number * half // 2 + shift_vox
        rows = slice(size_y // 3, size_y // 2)
        columns = slice(left, left + 8)
        voxels[size_z // 4 : size_z // 2, rows, columns] = edition.values_of(structure)[0]
    return Volume(voxels, case.volume.geometry)


def write_submission(cases: list[GeneratedCase], edition: Edition, folder: Path, shift_vox: int) -> Path:
    """The platform's layout of a submission: a folder a job, and the list of jobs."""
    place = f"{PLATFORM_IMAGES}/{OUTPUT_SLUG}"
    jobs = []
    for number, case in enumerate(cases):
        key = f"00000000-0000-0000-0000-{number:012d}"
        write_volume(folder / key / "output" / place / "output.mha", mask_of(case, edition, shift_vox))
        t2 = {"slug": SLUG, "relative_path": f"{PLATFORM_IMAGES}/{SLUG}", "super_kind": "Image", "kind": "Image"}
        mask = {"slug": OUTPUT_SLUG, "relative_path": place, "super_kind": "Image", "kind": "Segmentation"}
        job = {
            "pk": key,
            "status": "Succeeded",
            "inputs": [{"image": {"name": edition.target_name(case.name)}, "socket": t2}],
            "outputs": [{"image": {"name": "output.mha"}, "socket": mask}],
            "exec_duration": None,
            "invoke_duration": "P0DT00H00M05S",
        }
        jobs.append(job)
    write_json(folder / LISTING, jobs)
    return folder


def _check_server(
    check: ImageCheck, cases: list[GeneratedCase], submissions: dict[str, int], flags: tuple[str, ...]
) -> None:
    """One server scores one submission after the other."""
    scores: list[str] = []
    with serving(check, CONTRACT, *flags) as server:
        if server is None:
            return
        for what, shift in submissions.items():
            write_submission(cases, check.edition, server.input_dir, shift)
            if not server.do_job(what):
                return
            score = _check_metrics(check, server.output_dir, what)
            if score is None:
                return
            if score in scores:
                check.report.failed(SECOND, f"{what} has the scores of a perfect one", SECOND_REMEDY)
            elif scores:
                check.report.passed(SECOND, f"{what} has scores of its own")
            scores.append(score)
            if not server.renew():
                return


def _check_metrics(check: ImageCheck, output: Path, what: str) -> str | None:
    """Note whether `metrics.json` was written. Its content in one form; None where there is none."""
    path = output / METRICS
    problems = []
    content = None
    try:
        found = parse_json(path.read_bytes())
        content = json.dumps(found, sort_keys=True)
    except FileNotFoundError:
        problems.append(f"{what}: not written")
    except ValueError as error:
        problems.append(f"{what}: {error}")
    remedy = f"write /output/{METRICS}, JSON without NaN and Infinity"
    check.report.judge(f"{CONTRACT}: {METRICS}", problems, f"{what}: valid JSON", remedy)
    return content
