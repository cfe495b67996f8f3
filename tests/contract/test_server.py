"""The points of an image that is a server, on the toy of the container's tests as a process of this machine."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contract.cases import SLUG, generate_cases
from contract.dicom_set import write_dicom_job
from contract.evaluation_job import check_evaluation_contract
from contract.platform_job import check_platform_contract
from contract.report import Report
from contract.runs import LINKED, ImageCheck
from contract.sandbox import Run, Server
from vestibule.dicom.images import read_set
from vestibule.editions import get_edition

TOY = Path(__file__).resolve().parents[1] / "container" / "toy" / "process.py"
EDITION = get_edition(2022)
TIME_LIMIT_S = 20.0


class Processes:
    """Stands for an engine: its image is the toy, broken as the image's name tells, and its container a process."""

    def __init__(self, folder):
        self.log = folder / "log"

    @contextlib.contextmanager
    def serving(self, image, input_dir, output_dir, *flags):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        places = {"INPUT": str(input_dir), "OUTPUT": str(output_dir), "PORT": str(self.port)}
        environment = {**os.environ, **places, "BROKEN": image, "API": "invoke"}
        with self.log.open("wb") as log:
            process = subprocess.Popen([sys.executable, str(TOY)], env=environment, stderr=log)
        try:
            yield Server(self, "toy")
        finally:
            process.kill()
            process.wait()

    def client_of(self, container):
        # The shell adds the port, which is the same for all containers.
        program = f'exec "{sys.executable}" -m vestibule.client "$@" {self.port}'
        return ["sh", "-c", program, "sh"]

    def call(self, *arguments, check=True):
        return subprocess.CompletedProcess(arguments, 0, "", self.log.read_text())


def checked(contract, broken, folder, time_limit_s=TIME_LIMIT_S):
    report = Report(broken)
    check = ImageCheck(Processes(folder), broken, EDITION, report, folder, time_limit_s, lambda what: None)
    cases = generate_cases(EDITION, np.random.default_rng(0), size_yx=48, slices=8)[:3]
    if contract == "evaluation":
        check_evaluation_contract(check, cases, "invoke")
    else:
        # A link asks for an engine.
        report.untested(LINKED, "not here")
        check_platform_contract(check, cases, "invoke")
    return report


@pytest.mark.parametrize("contract", ["platform", "evaluation"])
def test_good_server_passes_every_point(contract, tmp_path):
    report = checked(contract, "", tmp_path)
    assert report.failures == [], report.as_text()
    points = {finding.point for finding in report.findings}
    assert {"invoke: health", "invoke: no redirect", "invoke: answers 201"} <= points
    assert {"invoke: fresh folders", "invoke: second case", f"{contract}: runs"} <= points


@pytest.mark.parametrize("contract", ["platform", "evaluation"])
@pytest.mark.parametrize(
    ("broken", "point", "told"),
    [
        ("late", "invoke: health", "is not healthy after 1 s"),
        ("unhealthy", "invoke: health", "503"),
        ("redirect", "invoke: no redirect", "/health answered 307"),
        ("status", "invoke: answers 201", "/invoke answered 200"),
        ("folders", "invoke: fresh folders", "job 2"),
        ("remembers", "invoke: second case", ""),
    ],
)
def test_broken_server_fails_its_point_alone(contract, broken, point, told, tmp_path):
    limit_s = 1.0 if point == "invoke: health" else TIME_LIMIT_S
    report = checked(contract, broken, tmp_path, limit_s)
    assert [finding.point for finding in report.failures] == [point], report.as_text()
    assert told in report.failures[0].detail


def test_image_that_reads_no_dicom_writes_no_mask_of_an_image_set(tmp_path):
    report = Report("toy")
    report.untested(LINKED, "not here")
    check = ImageCheck(Processes(tmp_path), "", EDITION, report, tmp_path, TIME_LIMIT_S, lambda what: None)
    cases = generate_cases(EDITION, np.random.default_rng(0), size_yx=48, slices=8)[:1]
    check_platform_contract(check, cases, "invoke", write_dicom_job)
    assert {finding.point for finding in report.failures} == {"platform: one image"}


def test_image_set_holds_the_case_that_it_was_made_of(tmp_path):
    case = generate_cases(EDITION, np.random.default_rng(0), size_yx=48, slices=8)[2]
    folder = write_dicom_job(case, tmp_path) / "images" / SLUG
    assert {path.suffix for path in folder.iterdir()} == {".dcm"}
    volume = read_set(folder)
    assert np.array_equal(volume.voxels, case.volume.voxels)
    assert volume.geometry.describes(case.volume.geometry, 1e-4)


def test_metrics_that_are_no_json_fail_their_point(tmp_path):
    report = checked("evaluation", "json", tmp_path)
    assert {finding.point for finding in report.failures} == {"evaluation: metrics.json"}


def test_answer_of_a_server_is_told_before_its_last_line():
    run = Run(1, 2.0, "a\nvestibule: error: cause\n", answer="/invoke answered 500")
    assert run.outcome == "/invoke answered 500, last on stderr: 'vestibule: error: cause'"
