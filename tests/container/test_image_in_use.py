"""Our own image in use: mounted weights, foreign users, no GPU, the older style, the scripts that test and export."""

import shutil
import subprocess
import sys

import pytest

from contract.archive import check_configuration
from contract.cases import write_flat, write_job
from contract.gpu import GPUS, check_gpu
from contract.platform_job import check_platform_contract
from contract.report import Report
from contract.runs import ImageCheck
from contract.sandbox import Engine
from tests.container.own_image import EDITION, cases, run_image
from vestibule.weights import open_bundle, write_bundle

pytestmark = pytest.mark.container

OTHER_PROCESSOR_VOXELS = "10"
"""Of the kept mask: so many may lie on a border that another processor's rounding moves."""
FORMATS = (".safetensors", ".json")


def test_the_container_writes_the_bytes_that_process_writes_outside(engine, image, bundle, repository, tmp_path):
    flat = write_flat(cases(3), EDITION, tmp_path / "input")
    run, output = run_image(engine, image, flat, tmp_path)
    assert run.exit_code == 0, run.outcome
    outside = tmp_path / "outside"
    command = [sys.executable, repository / "process.py", "--input", flat, "--output", outside, "--weights", bundle]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    names = sorted(path.name for path in outside.iterdir())
    assert names == [EDITION.prediction_name(case.name) for case in cases(3)]
    assert {path.name: path.read_bytes() for path in output.iterdir()} == {
        name: (outside / name).read_bytes() for name in names
    }


def test_a_foreign_user_with_a_linked_input_and_mounted_weights(engine, image, bundle, tmp_path):
    opened = open_bundle(bundle)
    manifest = {key: value for key, value in opened.manifest.items() if key not in ("files", "schema_version")}
    stems = {suffix: [name for name in opened.manifest["files"] if name.endswith(suffix)] for suffix in FORMATS}
    tensors, documents = (
        {name.removesuffix(suffix): read(name.removesuffix(suffix)) for name in stems[suffix]}
        for suffix, read in zip(FORMATS, (opened.tensors, opened.document), strict=True)
    )
    # As it is written: with this machine's umask, and for another user to read.
    mounted = write_bundle(tmp_path / "model", manifest | {"name": "mounted"}, tensors, documents, {}).path
    linked = "localhost/vestibule:linked"
    dockerfile = f"FROM {image}\nUSER root\nRUN ln -s /data /input\nUSER 1000:1000\n"
    subprocess.run(
        [engine.program, "build", "--network", "none", "--tag", linked, "-"],
        input=dockerfile, text=True, check=True, capture_output=True, env=engine.environment,
    )  # fmt: skip
    flat = write_flat(cases(), EDITION, tmp_path / "input")
    output = tmp_path / "output"
    output.mkdir()
    output.chmod(0o777)
    flags = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--memory", "4g"]
    flags += ["--shm-size", "128m", "--user", "12345:6789", "--volume", f"{flat}:/data:ro"]
    flags += ["--volume", f"{output}:/output", "--volume", f"{mounted}:/opt/ml/model:ro"]
    result = engine("run", *flags, linked, check=False)
    assert result.returncode == 0, result.stderr
    assert "weights mounted" in result.stderr
    mask = output / EDITION.prediction_name(cases()[0].name)
    assert mask.stat().st_uid == 12345


def test_altered_weights_are_refused_by_name(engine, image, bundle, tmp_path):
    altered = tmp_path / "model"
    shutil.copytree(bundle, altered)
    tensors = next(altered.glob("segmenter*.safetensors"))
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(bytes(content))
    for path in (altered, *altered.iterdir()):
        path.chmod(0o755)
    flat = write_flat(cases(), EDITION, tmp_path / "input")
    run, output = run_image(engine, image, flat, tmp_path, "--volume", f"{altered}:/opt/ml/model:ro")
    assert run.exit_code == 1
    assert f"/opt/ml/model/{tensors.name}: altered" in run.last_line
    assert list(output.iterdir()) == []


def test_without_a_gpu_it_says_so_and_stops_where_one_is_required(engine, image, tmp_path):
    flat = write_flat(cases(), EDITION, tmp_path / "input")
    run, _ = run_image(engine, image, flat, tmp_path, "--env", "VESTIBULE_REQUIRE_GPU=1")
    assert run.exit_code == 1
    assert "no CUDA device" in run.last_line


def test_an_image_for_the_older_style_does_one_job_a_run(engine, image, base, bundle, repository, tmp_path):
    older = "localhost/vestibule:exec"
    command = ["./build.sh", "--cpu", "--base", base, "--weights", str(bundle), "--tag", older, "--api", "exec"]
    subprocess.run(command, cwd=repository, env=engine.environment, check=True, capture_output=True)
    report = Report(older)
    check = ImageCheck(Engine(engine.program), older, EDITION, report, tmp_path, 600.0, lambda what: None)
    check_configuration(check.engine.configuration(older), report)
    # Two jobs, and an /input that is a link: the image above has tried every kind of grid.
    check_platform_contract(check, cases(2), "exec")
    assert report.failures == [], report.as_text()
    assert report.status_of("call style") == report.status_of("linked input") == "passed"
    assert report.status_of("platform: one image") == "passed"


def test_a_user_who_may_not_enter_a_containers_network_has_the_image_call_itself(engine, image, tmp_path, monkeypatch):
    monkeypatch.setattr("contract.sandbox.shutil.which", lambda name: None if name == "nsenter" else name)
    job = write_job(cases()[0], tmp_path / "job")
    output = tmp_path / "output"
    output.mkdir()
    output.chmod(0o777)
    run = Engine(engine.program).invoke(image, job, output, 600)
    assert run.exit_code == 0, run.outcome
    assert list(output.rglob("*.mha"))


def test_the_scripts_test_and_export_the_image(engine, image, repository, tmp_path, capsys):
    def script(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=repository, env=engine.environment, capture_output=True, text=True, check=False
        )

    tested = script("./test.sh", "--tag", image, "--allow-voxels", OTHER_PROCESSOR_VOXELS)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    kept = repository / "tests" / "container" / "case" / "input"
    other = script("./test.sh", "--tag", image, "--input", str(kept), "--expected", str(kept))
    assert other.returncode == 1
    assert "not the expected one" in other.stderr
    exported = script("./export.sh", "--tag", image, "--output", str(tmp_path / "image.tar.gz"))
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "image.tar.gz.sha256").is_file()
    with capsys.disabled():
        print(f"\n{tested.stdout}{exported.stdout}")


def test_an_image_for_the_cpu_is_told_that_it_uses_no_gpu(engine, image):
    report = Report(image)
    check_gpu(Engine(engine.program), image, GPUS["T4"], report)
    (finding,) = report.failures
    assert "is built for the CPU alone" in finding.detail
