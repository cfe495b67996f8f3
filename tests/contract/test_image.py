"""What becomes of a run of an image, without an engine."""

from pathlib import Path

import numpy as np
import pytest

from contract import flat_folder
from contract.cases import generate_cases
from contract.report import FAILED, PASSED, Report
from contract.runs import ImageCheck, check_run
from contract.sandbox import Run
from vestibule.editions import get_edition


def test_a_run_that_is_too_slow_is_not_taken_for_one_that_writes_outside(tmp_path):
    report = Report("slow")
    check = ImageCheck(None, "slow", get_edition(2022), report, tmp_path, 600.0, lambda what: None)
    assert not check_run(check, "platform", Run(None, 600.0, ""), Path("input"))
    assert [(finding.point, finding.detail) for finding in report.failures] == [
        ("platform: runs", "still running after 600 s")
    ]


@pytest.mark.parametrize(
    ("run", "status"),
    [
        (Run(0, flat_folder.FULL_SIZE_SECONDS - 1.0, ""), PASSED),
        (Run(0, flat_folder.FULL_SIZE_SECONDS + 1.0, ""), FAILED),
        (Run(137, 1.0, "Killed"), FAILED),
    ],
)
def test_a_full_size_case_is_held_to_its_time_and_memory(tmp_path, monkeypatch, run, status):
    edition = get_edition(2022)
    small = generate_cases(edition, np.random.default_rng(0), size_yx=8, slices=2)[0]
    monkeypatch.setattr(flat_folder, "full_size_case", lambda edition, rng: small)
    report = Report("image")
    check = ImageCheck(None, "image", edition, report, tmp_path, 600.0, lambda what: None)
    monkeypatch.setattr(check, "run", lambda what, input_dir: (run, tmp_path))
    flat_folder._check_full_size(check)
    assert report.status_of("full-size case") == status
