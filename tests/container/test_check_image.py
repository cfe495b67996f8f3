"""`vestibule check` on images: a small good one passes, and each broken one is caught by its own point."""

import functools
import json
import subprocess
import sys

import pytest

from contract.gpu import GPUS, check_gpu
from contract.image import check_image
from contract.report import FAILED, Report
from contract.sandbox import Engine
from vestibule.editions import get_edition
from vestibule.errors import InputError

pytestmark = pytest.mark.container


@functools.cache
def checked(engine, image: str, contract: str = "both", time_limit_s: float = 300) -> Report:
    """What a check of an image tells; each is made once, however many tests read it."""
    report = Report(image)
    check_image(Engine(engine.program), image, get_edition(2022), report, contract, time_limit_s=time_limit_s)
    return report


def test_a_good_image_passes_every_point(engine, toy):
    report = checked(engine, toy())
    assert report.failures == [], report.as_text()
    points = {finding.point for finding in report.findings}
    assert {"folder: runs", "folder: geometry", "folder: a bad case", "platform: one image", "same twice"} <= points
    assert {"no network", "writes inside", "non-root user", "platform: results.json", "linked input"} <= points
    assert report.status_of("linked input") == "passed"


@pytest.mark.parametrize(
    ("broken", "contract", "points"),
    [
        ("name", "folder", {"folder: names", "folder: counts", "folder: a bad case"}),
        ("name", "platform", {"platform: one image"}),
        ("flip", "folder", {"folder: geometry"}),
        ("flip", "platform", {"platform: geometry"}),
        ("float", "folder", {"folder: integer type"}),
        ("float", "platform", {"platform: 8-bit"}),
        ("label", "folder", {"folder: labels"}),
        ("json", "platform", {"platform: results.json"}),
        ("network", "folder", {"no network"}),
        ("network", "platform", {"no network"}),
        ("outside", "folder", {"writes inside"}),
        ("outside", "platform", {"writes inside"}),
        ("silent", "folder", {"folder: a bad case"}),
        ("link", "folder", {"linked input"}),
        ("link", "platform", {"linked input"}),
    ],
)
def test_a_broken_image_fails_its_points_alone(engine, toy, broken, contract, points):
    report = checked(engine, toy(broken), contract)
    assert {finding.point for finding in report.failures} == points, report.as_text()


@pytest.mark.parametrize("contract", ["platform", "evaluation"])
def test_a_good_server_passes_every_point(engine, toy, contract):
    report = checked(engine, toy(api="invoke"), contract)
    assert report.failures == [], report.as_text()
    points = {finding.point for finding in report.findings}
    assert {"invoke: health", "invoke: no redirect", "invoke: answers 201"} <= points
    assert {"invoke: fresh folders", "invoke: second case", "no network", f"{contract}: runs"} <= points


@pytest.mark.parametrize("contract", ["platform", "evaluation"])
@pytest.mark.parametrize(
    ("broken", "point"),
    [
        ("late", "invoke: health"),
        ("redirect", "invoke: no redirect"),
        ("status", "invoke: answers 201"),
        ("folders", "invoke: fresh folders"),
        ("remembers", "invoke: second case"),
    ],
)
def test_a_broken_server_fails_its_point_alone(engine, toy, broken, point, contract):
    limit_s = 5 if broken == "late" else 300
    report = checked(engine, toy(broken, api="invoke"), contract, limit_s)
    assert {finding.point for finding in report.failures} == {point}, report.as_text()


def test_an_image_that_scores_and_ends_is_checked_too(engine, toy):
    assert checked(engine, toy(), "evaluation").failures == []
    assert [finding.point for finding in checked(engine, toy("json"), "evaluation").failures] == [
        "evaluation: metrics.json",
        "evaluation: metrics.json",
    ]


def test_a_root_image_fails_its_point_alone(engine, toy):
    assert [finding.point for finding in checked(engine, toy(run_as="root"), "folder").failures] == ["non-root user"]


def test_an_image_with_an_input_of_its_own_cannot_be_tried_with_a_link(engine, toy):
    own = "localhost/toy:own-input"
    dockerfile = f"FROM {toy()}\nUSER root\nRUN mkdir /input\nUSER 1000:1000\n"
    command = [engine.program, "build", "--network", "none", "--tag", own, "-"]
    subprocess.run(command, input=dockerfile, text=True, check=True, capture_output=True, env=engine.environment)
    report = checked(engine, own, "folder")
    assert report.failures == [], report.as_text()
    assert report.status_of("linked input") == "not testable here"


def test_what_an_image_writes_outside_is_named(engine, toy):
    failure = checked(engine, toy("outside"), "folder").failures[0]
    assert "/opt/toy/state" in failure.detail


def test_a_full_size_case_is_run_where_it_is_asked_for(engine, toy, monkeypatch):
    # A slow machine must not decide; what becomes of a run that is too slow is tested without an engine.
    monkeypatch.setattr("contract.flat_folder.FULL_SIZE_SECONDS", 1e6)
    report = Report("toy")
    check_image(Engine(engine.program), toy(), get_edition(2022), report, "folder", full_size=True)
    assert report.failures == [], report.as_text()
    assert report.status_of("full-size case") == "passed"


def test_an_output_that_changes_is_warned_of(engine, toy):
    report = checked(engine, toy("random"), "folder")
    assert report.failures == []
    assert report.status_of("same twice") == "warning"


def test_an_image_that_is_not_there_is_named(engine):
    with pytest.raises(InputError, match="absent:latest"):
        checked(engine, "absent:latest")


def test_the_command_checks_an_archive_and_leaves_no_image_behind(engine, toy, tmp_path):
    image = toy("float")
    archive = tmp_path / "float.tar"
    engine("save", "--output", str(archive), image)
    subprocess.run(["gzip", "-1", str(archive)], check=True)
    engine("rmi", "--force", image)
    command = [
        sys.executable,
        "-m",
        "vestibule.cli",
        "check",
        f"{archive}.gz",
        "--edition",
        "2022",
        "--contract",
        "platform",
        "--json",
    ]
    code = "import sys; from vestibule.cli import main; sys.argv[1:] = sys.argv[2:]; main()"
    command = [sys.executable, "-c", code, "vestibule", *command[3:]]
    result = subprocess.run(command, env=engine.environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    findings = {finding["point"]: finding["status"] for finding in json.loads(result.stdout)["findings"]}
    assert findings["platform: 8-bit"] == FAILED
    assert findings["one image"] == "passed"
    assert engine("image", "inspect", image, check=False).returncode != 0


def test_an_image_without_torch_cannot_be_asked_for_its_gpu(engine, toy):
    report = Report("toy")
    check_gpu(Engine(engine.program), toy(), GPUS["T4"], report)
    assert report.status_of("GPU T4") == "not testable here"
