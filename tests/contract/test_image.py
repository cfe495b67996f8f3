"""What becomes of a run of an image, without an engine."""

from pathlib import Path

from contract.report import Report
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
