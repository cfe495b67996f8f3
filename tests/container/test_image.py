"""Our own image as the platform and the organisers drive it: real build, strict sandbox, contents, time and size."""

import json

import numpy as np
import pytest

from contract.cases import full_size_case, write_flat
from contract.flat_folder import FULL_SIZE_SECONDS
from contract.image import check_image
from contract.report import Report
from contract.sandbox import READ_ONLY, STRICT, Engine
from tests.container.own_image import COMPILED_ANEW, EDITION, cases, in_image, size_of

pytestmark = pytest.mark.container

MAX_BYTES = 1_400_000_000
HEALTH_SECONDS = 8
"""From the start of a container to the first answer of /health, which the platform waits for."""
COLD_START_SECONDS = 12
"""From the start of a container to the mask of a small case."""
# What nnunetv2, evalutils, blosc2, httpx and torch ask for and no run of the container imports.
LEFT_OUT = {
    *("anyio", "batchgeneratorsv2", "certifi", "connected-components-3d", "cookiecutter", "einops", "filelock"),
    *(
        "colorama",
        "importlib-resources",
        "pydantic",
        "tzdata",
        "fsspec",
        "future",
        "graphviz",
        "httpcore",
        "httpx2",
        "imagecodecs",
        "jinja2",
        "matplotlib",
        "networkx",
    ),
    *("pip-tools", "six", "requests", "rich", "seaborn", "setuptools", "timm", "unittest2", "yacs"),
}


def test_every_point_of_the_contract_is_green(engine, image, capsys):
    report = Report(image)
    check_image(Engine(engine.program), image, EDITION, report)
    assert report.failures == [], report.as_text()
    assert report.status_of("same twice") == report.status_of("linked input") == "passed"
    with capsys.disabled():
        print(f"\n{report.as_text()}")


@pytest.mark.parametrize(("what", "limit_s"), [("small", COLD_START_SECONDS), ("full-size", FULL_SIZE_SECONDS)])
def test_a_case_stays_within_its_time_and_memory(engine, image, tmp_path, capsys, what, limit_s):
    # Not by the clock, which tells as much of a busy machine as of the image, but by what two cores can do in the time;
    # in one thread, because several would spend CPU on waiting for each other.
    code = """
import resource, subprocess, sys, time
started = time.monotonic()
code = subprocess.run([sys.executable, "/opt/vestibule/process.py"]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, used.ru_utime + used.ru_stime, time.monotonic() - started, used.ru_maxrss)
"""
    chosen = cases() if what == "small" else [full_size_case(EDITION, np.random.default_rng(0))]
    flat, output = write_flat(chosen, EDITION, tmp_path / "input"), tmp_path / "output"
    output.mkdir()
    output.chmod(0o777)
    mounts = ("--volume", f"{flat}:/input:ro", "--volume", f"{output}:/output")
    flags = ("--rm", *STRICT, *READ_ONLY, *mounts, "--env", "OMP_NUM_THREADS=1", "--entrypoint", "python3")
    result = engine("run", *flags, image, "-c", code)
    exit_code, cpu_s, wall_s, peak_kib = (float(word) for word in result.stdout.splitlines()[-1].split())
    with capsys.disabled():
        print(f"\n{what}: {cpu_s:.1f} s of CPU, {wall_s:.1f} s by the clock, peak {peak_kib / 1e6:.2f} GB")
    assert exit_code == 0, result.stderr
    assert [path.name for path in output.iterdir()] == [EDITION.prediction_name(chosen[0].name)]
    assert cpu_s <= 2 * limit_s


def test_a_server_is_healthy_soon_after_a_cold_start(engine, image, capsys):
    # As above: what it computes until then is done by one thread, and does not tell of a busy machine.
    code = """
import os, pathlib, subprocess, sys, time, urllib.request
started = time.monotonic()
server = subprocess.Popen([sys.executable, "/opt/vestibule/process.py"])
status = None
while status is None and server.poll() is None:
    try:
        status = urllib.request.urlopen("http://127.0.0.1:4743/health", timeout=10).status
    except OSError:
        time.sleep(0.02)
wall_s = time.monotonic() - started
fields = pathlib.Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
ticks = int(fields[11]) + int(fields[12])
server.terminate()
print(status, ticks / os.sysconf("SC_CLK_TCK"), wall_s)
"""
    flags = ("--rm", *STRICT, *READ_ONLY, "--env", "OMP_NUM_THREADS=1", "--entrypoint", "python3")
    result = engine("run", *flags, image, "-c", code)
    status, cpu_s, wall_s = (float(word) for word in result.stdout.splitlines()[-1].split())
    with capsys.disabled():
        print(f"\n/health: {cpu_s:.1f} s of CPU, {wall_s:.1f} s by the clock")
    assert status == 200
    assert cpu_s <= HEALTH_SECONDS


def test_the_image_holds_what_inference_imports_and_nothing_else(engine, image, repository):
    code = """
import json, sys
import process, vestibule.pipeline, nibabel, safetensors.torch
import importlib.metadata as metadata, re
plain = lambda name: re.sub("[-_.]+", "-", name).lower()
found = {plain(item.name): item.version for item in metadata.distributions()}
asked = [line for name in found for line in metadata.requires(name) or [] if "extra ==" not in line]
owners = metadata.packages_distributions()
imported = {plain(owner) for name in sys.modules for owner in owners.get(name, [])}
lacking = {plain(re.match("[A-Za-z0-9._-]+", line).group()) for line in asked} - set(found)
print(json.dumps([found, sorted(imported), sorted(lacking)]))
"""
    found, imported, lacking = json.loads(in_image(engine, image, code))
    lines = (repository / "requirements" / "inference.txt").read_text().splitlines()
    torch = (repository / "requirements" / "torch.txt").read_text().strip().removeprefix("torch==")
    assert found["torch"].partition("+")[0] == torch
    assert {f"{name}=={version}" for name, version in found.items() if name != "torch"} == {
        line.split()[0] for line in lines if "==" in line
    }
    assert imported == sorted(found)
    assert set(lacking) <= LEFT_OUT


def test_the_image_is_small(engine, image):
    assert size_of(engine, image) <= MAX_BYTES


def test_the_image_holds_the_submission_alone_and_no_path_that_nnunet_could_write_to(engine, image):
    code = """
import json, os
from pathlib import Path
names = sorted(path.name for path in Path("/opt/vestibule").iterdir() if path.name != "__pycache__")
print(json.dumps([names, {name: os.environ[name] for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}]))
"""
    names, variables = json.loads(in_image(engine, image, code))
    assert names == ["process.py", "vestibule", "weights"]
    assert set(variables.values()) == {"/dev/null"}


def test_nothing_is_compiled_anew_at_a_cold_start(engine, image):
    code = """
import sys
sys.argv[1:] = ["--help"]
import process, vestibule.pipeline
"""
    assert in_image(engine, image, code + COMPILED_ANEW).strip() == "[]"
