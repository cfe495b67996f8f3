"""Whether an image's torch can use the GPU that a challenge names."""

import json
import re
import subprocess
import sys

import pytest

from contract.gpu import GPUS, PROBE, check_gpu, faults_of
from contract.report import FAILED, PASSED, UNTESTED, Report


def told(cuda="12.6", built_for="sm_50 sm_60 sm_70 sm_75 sm_80 sm_90"):
    return {"torch": "2.13.0", "cuda": cuda, "built_for": built_for.split()}


class Answering:
    """Stands for an engine whose image answers so."""

    def __init__(self, answer):
        self.answer = answer

    def ask(self, image, program, time_limit_s):
        return self.answer


@pytest.mark.parametrize(
    ("found", "gpu", "fault"),
    [
        (told(), "T4", None),
        (told(), "A10G", None),
        # Within a generation older kernels run on newer GPUs, and not the other way round.
        (told(built_for="sm_70"), "T4", None),
        (told(built_for="sm_80 sm_90"), "T4", r"built for sm_80 sm_90, and T4 has 7\.5"),
        (told(built_for="sm_86"), "A10G", None),
        (told(built_for="sm_89"), "A10G", r"A10G has 8\.6"),
        # A driver compiles the intermediate form for itself.
        (told(built_for="compute_70"), "A10G", None),
        (told(built_for="sm_90a compute_90"), "T4", r"T4 has 7\.5"),
        (told(cuda="12.8"), "T4", r"its CUDA is 12\.8, and the platform's driver for T4 takes 12\.6 at most"),
        (told(cuda="13.0"), "A10G", None),
        (told(cuda=None, built_for=""), "T4", "built for the CPU alone"),
    ],
)
def test_capability_and_cuda_are_held_against_the_gpu(found, gpu, fault):
    report = Report("image")
    check_gpu(Answering(f"a warning\n{json.dumps(found)}\n"), "image", GPUS[gpu], report)
    (finding,) = report.findings
    assert finding.point == f"GPU {gpu}"
    assert finding.status == (FAILED if fault else PASSED)
    if fault:
        assert re.search(fault, finding.detail)
        assert "12.6" in finding.remedy


@pytest.mark.parametrize("answer", ["", "Traceback\n", "{}x"])
def test_an_image_without_torch_cannot_be_judged(answer):
    report = Report("image")
    check_gpu(Answering(answer), "image", GPUS["T4"], report)
    assert [finding.status for finding in report.findings] == [UNTESTED]


def test_this_machines_own_torch_answers():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert set(found) == {"torch", "cuda", "built_for"}
    if found["cuda"] is None:
        assert faults_of(found, GPUS["T4"]) == [f"torch {found['torch']} is built for the CPU alone"]
