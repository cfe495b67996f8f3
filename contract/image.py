"""The points of an image: its configuration, and what it does in the sandbox on generated cases."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from contract.archive import MAX_IMAGE_BYTES, api_method, check_configuration
from contract.cases import GeneratedCase, full_size_case, generate_cases, write_flat, write_job
from contract.compare import refuse_constant
from contract.predictions import check_predictions
from contract.report import FAILED, Report
from contract.sandbox import LINKED_INPUT, Engine, Run
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.inputs import PLATFORM_IMAGES, PLATFORM_RESULTS
from vestibule.volume import read_header, read_volume

FULL_SIZE_SECONDS = 120
"""What a full-size case may take, with the sandbox's 4 GB."""
_LINKED = "linked input"
_OF_MASKS = ("names", "counts", "readable", "geometry", "integer type", "labels")
_ONE_MASK = re.compile(rf"{PLATFORM_IMAGES}/[^/]+/[^/]+\.mha")
_SAYS_NETWORK = re.compile(
    r"name resolution|name or service not known|network is unreachable|getaddrinfo|urlopen error|"
    r"connection refused|max retries exceeded|could not resolve|no route to host",
    re.IGNORECASE,
)


@dataclass
class ImageCheck:
    """One image under test, with what every run of it needs."""

    engine: Engine
    image: str
    edition: Edition
    report: Report
    folder: Path
    """Scratch: inputs and outputs of the runs."""
    time_limit_s: float
    announce: Callable[[str], None]

    def run(self, what: str, input_dir: Path, read_only: bool = True) -> tuple[Run, Path]:
        """Run the image once, as exec; the folder that it wrote to comes with it."""
        self.announce(what)
        output = self._output()
        run = self.engine.run(self.image, input_dir, output, self.time_limit_s, read_only)
        return run, output

    def run_linked(self, what: str, input_dir: Path, method: str) -> tuple[Run, Path]:
        """Run the image once, called by `method`, with an /input that is a link.

        Raises InputError where that cannot be made.
        """
        self.announce(what)
        output = self._output()
        call = self.engine.invoke if method == "invoke" else self.engine.run
        with self.engine.with_linked_input(self.image) as linked:
            run = call(linked, input_dir, output, self.time_limit_s, input_place=LINKED_INPUT)
        return run, output

    def invoke(self, what: str, input_dir: Path) -> tuple[Run, Path]:
        """Have the image segment one job as a server."""
        self.announce(what)
        output = self._output()
        run = self.engine.invoke(self.image, input_dir, output, self.time_limit_s)
        return run, output

    def scratch(self, name: str) -> Path:
        """An empty folder of this name that any user can read."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def _output(self) -> Path:
        """An empty folder that any user can write to: the image's is not this machine's."""
        output = Path(tempfile.mkdtemp(prefix="output", dir=self.folder))
        output.chmod(0o777)
        return output


def check_image(
    engine: Engine,
    image: str,
    edition: Edition,
    report: Report,
    contract: str = "both",
    full_size: bool = False,
    time_limit_s: float = 600.0,
    announce: Callable[[str], None] = lambda what: None,
) -> None:
    """Note in `report` how an image fares: its configuration, then runs in the sandbox.

    Args:
        engine: docker or podman.
        image: Its name.
        edition: Whose names and labels hold.
        report: Gets a finding for each point.
        contract: `folder` (the organisers': all cases of a flat folder in one run), `platform` (one job a run), or
            `both`.
        full_size: Whether to run a case as large as the challenge's too.
        time_limit_s: What one run may take.
        announce: Told of each run before it begins.

    Raises:
        InputError: There is no such image.
    """
    config = engine.configuration(image)
    if config is None:
        raise InputError(f"{image}: {engine.program} knows no such image, and it is no file; build or load it first")
    # The archive that it came in has told its configuration already.
    if report.status_of("platform") is None:
        check_configuration(config, report)
    size = config["size"] or 0
    problems = [f"{size / 1e9:.1f} GB"] if size > MAX_IMAGE_BYTES else []
    report.judge("image size", problems, f"{size / 1e9:.2f} GB unpacked", "keep it under 10 GB")

    method = api_method(config["config"] or {}) or "exec"
    with tempfile.TemporaryDirectory(prefix="vestibule-check-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        check = ImageCheck(engine, image, edition, report, Path(folder), time_limit_s, announce)
        cases = generate_cases(edition, np.random.default_rng(0))
        if contract != "platform":
            _check_folder_contract(check, cases, full_size, method)
        if contract != "folder":
            oblique, few_slices = cases[2], cases[4]
            awkward = cases if contract == "platform" else [oblique, few_slices]
            _check_platform_contract(check, awkward, method)
    report.untested("GPU", "the sandbox offers none", "run it once where a GPU is, as the platform does")


def _check_folder_contract(check: ImageCheck, cases: list[GeneratedCase], full_size: bool, method: str) -> None:
    """The organisers' contract: all cases of a flat folder in one run."""
    if method == "invoke":
        remedy = "the organisers need one that is built for exec"
        check.report.untested("folder: runs", "the image is a server", remedy)
        return
    flat = write_flat(cases, check.edition, check.scratch("flat"))
    run, output = check.run(f"{len(cases)} cases in one flat folder", flat)
    if not _check_run(check, "folder", run, flat):
        return
    _check_masks(check, output, flat)
    again, output_again = check.run("the same once more", flat)
    _check_same_bytes(check.report, again, output, output_again)
    _check_bad_case(check, cases)
    one_case = write_flat(cases[:1], check.edition, check.scratch("linked"))
    _check_linked_input(check, one_case)
    if full_size:
        _check_full_size(check)


def _check_full_size(check: ImageCheck) -> None:
    """Whether a case as large as the challenge's fits into the sandbox's memory, and into its time."""
    case = full_size_case(check.edition, np.random.default_rng(0))
    large = write_flat([case], check.edition, check.scratch("large"))
    run, _ = check.run("a full-size case", large)
    fits = run.exit_code == 0 and run.seconds <= FULL_SIZE_SECONDS
    check.report.judge(
        "full-size case",
        [] if fits else [run.outcome],
        f"{run.seconds:.0f} s",
        f"a full-size case must fit into 4 GB and {FULL_SIZE_SECONDS} s: crop, batch, keep fewer copies",
    )


def _check_run(check: ImageCheck, contract: str, run: Run, input_dir: Path) -> bool:
    """Note whether the strict run succeeded; where not, find out which restriction it could not bear."""
    report = check.report
    point = f"{contract}: runs"
    if run.exit_code == 0:
        report.passed(point, f"in the sandbox, {run.seconds:.1f} s")
        if report.status_of("no network") is None:
            report.passed("no network", "runs without one")
            report.passed("writes inside", "only /output and /tmp are written to")
        return True
    if run.exit_code is None:
        report.failed(point, run.outcome, "make it faster, or give it longer with --time-limit")
        return False
    if _SAYS_NETWORK.search(run.errors):
        remedy = "put everything that is downloaded into the image; the platform has no network"
        report.failed("no network", run.outcome, remedy)
        return False

    relaxed, _ = check.run("the same with a root file system that can be written to", input_dir, read_only=False)
    if relaxed.exit_code == 0:
        # A line of changes is a letter and a path.
        paths = [line.partition(" ")[2] for line in relaxed.changed[-3:]]
        written = ", ".join(paths) or "its own file system"
        report.failed("writes inside", f"writes to {written}", "write to /output and /tmp alone")
        return False
    by_hand = "run it by hand with the sandbox's flags, see docs/how-to/container.md"
    report.failed(point, run.outcome, by_hand)
    return False


def _check_masks(check: ImageCheck, output: Path, images: Path) -> None:
    """The points of a folder of masks, for the folder that the image wrote."""
    found = Report("masks")
    try:
        check_predictions(output, check.edition, found, images)
    except InputError:
        expected = check.edition.prediction_name("CASE")
        found.failed("counts", "/output is empty", f"write {expected} for each case")
    for finding in found.findings:
        # Of a network that was never trained for them, small heads have odd volumes: no fault of the image.
        if finding.point in _OF_MASKS or finding.status == FAILED:
            named = replace(finding, point=f"folder: {finding.point}")
            check.report.findings.append(named)


def _check_same_bytes(report: Report, again: Run, output: Path, output_again: Path) -> None:
    """Whether a second run wrote the same."""
    if again.exit_code != 0:
        report.failed("same twice", f"the second run: {again.outcome}", "the same input must give the same output")
        return
    names = {path.name for path in output.iterdir()} | {path.name for path in output_again.iterdir()}
    differing = []
    for name in sorted(names):
        first, second = output / name, output_again / name
        both_there = first.is_file() and second.is_file()
        if not both_there or first.read_bytes() != second.read_bytes():
            differing.append(name)
    if differing:
        remedy = "fix the seeds; a mask that changes from run to run cannot be reproduced"
        report.warn("same twice", f"{', '.join(differing[:5])} differ", remedy)
    else:
        report.passed("same twice", f"{len(names)} files, byte by byte")


def _check_bad_case(check: ImageCheck, cases: list[GeneratedCase]) -> None:
    """Whether a truncated image costs no other its mask, and is named."""
    bad, good = cases[:2]
    flat = write_flat([bad, good], check.edition, check.scratch("bad"))
    bad_image = flat / check.edition.target_name(bad.name)
    content = bad_image.read_bytes()
    bad_image.write_bytes(content[: len(content) // 2])
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


def _check_platform_contract(check: ImageCheck, cases: list[GeneratedCase], method: str) -> None:
    """The platform's contract: one job a run."""
    run_job = check.invoke if method == "invoke" else check.run
    for number, case in enumerate(cases):
        # Today's key and the older one in turn.
        key = "interface" if number % 2 else "socket"
        job = write_job(case, check.scratch("job"), key)
        try:
            run, output = run_job(f"a job of the platform, {case.awkward}", job)
        except InputError as error:
            check.report.untested("platform: runs", str(error), "check it as root")
            return
        if run.exit_code != 0 and method == "invoke":
            check.report.failed("platform: runs", run.outcome, "answer /health with 200 and /invoke with 201")
            return
        if not _check_run(check, "platform", run, job):
            return
        _check_job_output(check, case, output)
    if check.report.status_of(_LINKED) is None:
        job = write_job(cases[0], check.scratch("linked"))
        _check_linked_input(check, job, method)


def _check_linked_input(check: ImageCheck, input_dir: Path, method: str = "exec") -> None:
    """Whether an /input that is a link is read, as it is one on the platform."""
    try:
        run, output = check.run_linked("an /input that is a link", input_dir, method)
    except InputError as error:
        check.report.untested(_LINKED, str(error), "make no /input in the image: it is mounted")
        return
    problems = []
    if run.exit_code != 0:
        problems.append(run.outcome)
    if not any(path.is_file() for path in output.rglob("*")):
        problems.append("nothing was written")
    check.report.judge(
        _LINKED,
        problems,
        "an /input that is a link is read",
        "open what lies in /input by its path, and do not ask whether /input itself is a folder or a link",
    )


def _check_job_output(check: ImageCheck, case: GeneratedCase, output: Path) -> None:
    """What one job wrote: one mask, and results that are JSON where there are any."""
    written = (output / PLATFORM_IMAGES).rglob("*")
    files = sorted(path.relative_to(output).as_posix() for path in written if path.is_file())
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
        json.loads(results.read_text(encoding="utf-8"), parse_constant=refuse_constant)
    except ValueError as error:
        problems.append(str(error))
    check.report.judge("platform: results.json", problems, "valid JSON", "write JSON without NaN and Infinity")


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
    report.judge("platform: 8-bit", [] if is_8_bit else [voxel_type], voxel_type, "store labels as uint8")

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
