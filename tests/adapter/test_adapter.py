"""Our entry points driven by the platform's own adapter: what it uploads, what it says of each task, what users see."""

import json
import shutil
import sys
import tarfile

import numpy as np
import pytest

from contract.cases import generate_cases, write_job
from contract.compare import differences
from evaluation.platform.jobs import LISTING
from tests.adapter.driver import BUCKET, RESULT, SERVE_PORT, Adapter, ask, is_taken, shown_to_user
from vestibule.editions import get_edition
from vestibule.files import write_json
from vestibule.geometry import Geometry
from vestibule.inputs import PLATFORM_RESULTS, find_platform_case
from vestibule.pipeline import load_model
from vestibule.predict import predict_case
from vestibule.volume import Volume, write_volume
from vestibule.weights import open_bundle

pytestmark = pytest.mark.adapter

CASE = "crossmoda2021_ldn_2"
EVALUATED = get_edition(2022)
GRID = Geometry((8, 16, 16), (1.5, 1.0, 1.0), (5.0, -3.0, 7.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
"""Of a reference and of masks that are scored against it."""
SLUG = "generic-overlay"
OTHER_PROCESSOR_VOXELS = 10
"""So many voxels of the kept mask may lie on a border that another processor's rounding moves."""


@pytest.fixture(scope="session")
def weights(repository):
    return repository / "weights" / "phantom"


@pytest.fixture(scope="session")
def kept(repository):
    """A job with the mask and the results that are expected of it."""
    return repository / "tests" / "container" / "case"


@pytest.fixture(scope="session")
def oblique_job(tmp_path_factory):
    """Another job, generated."""
    cases = generate_cases(get_edition(2021), np.random.default_rng(1))
    return write_job(cases[2], tmp_path_factory.mktemp("jobs") / "oblique")


@pytest.fixture(scope="session")
def oblique_output(oblique_job, weights, tmp_path_factory):
    """What is expected of it: the mask that is made without a container."""
    bundle = open_bundle(weights)
    model = load_model(bundle.path, bundle.arm(None), "cpu")
    output = tmp_path_factory.mktemp("expected")
    case = find_platform_case(oblique_job, output, SLUG)
    warnings = predict_case(model.run, case, get_edition(2021))
    mask = {"type": "metaio_image", "filename": f"images/{SLUG}/{case.mask_path.name}"}
    image = {"type": "metaio_image", "filename": case.image_path.name}
    result = {"outputs": [mask], "inputs": [image], "error_messages": []}
    if warnings:
        result["warnings"] = list(warnings)
    write_json(output / PLATFORM_RESULTS, [result])
    return output


@pytest.fixture(scope="session")
def broken_job(kept, tmp_path_factory):
    """A job whose image ends too early."""
    job = tmp_path_factory.mktemp("jobs") / "broken"
    shutil.copytree(kept / "input", job)
    (image,) = job.rglob("*.mha")
    image.write_bytes(image.read_bytes()[:-1000])
    return job


@pytest.fixture
def container(programs, bucket, tmp_path, repository, weights, monkeypatch):
    """Our submission's container, to be called as `invoke` or as `exec`."""
    monkeypatch.chdir(repository)

    def make(api):
        entry_point = [sys.executable, str(repository / "process.py")]
        own = {"VESTIBULE_API": "auto" if api == "invoke" else "exec", "VESTIBULE_WEIGHTS": str(weights)}
        return Adapter(programs, bucket, tmp_path, entry_point, api, own)

    return make


def check_good(adapter, name, expected, tmp_path):
    """Nothing was uploaded but what is expected, and the result tells of success. Returns the result."""
    result = adapter.result(name)
    assert (result["pk"], result["return_code"], result["user_safe_error_message"]) == (name, 0, "")
    uploaded = adapter.bucket.fetch(f"outputs/{name}/", tmp_path / f"uploaded-{name}")
    assert differences(expected, uploaded, OTHER_PROCESSOR_VOXELS) == []
    told = {output["relative_path"] for output in result["outputs"]}
    assert told == {path.relative_to(uploaded).as_posix() for path in uploaded.rglob("*") if path.is_file()}
    return result


def check_broken(adapter, name):
    """Nothing was uploaded but the result, which tells the file and the cause last."""
    result = adapter.result(name)
    assert (result["return_code"], result["outputs"]) == (1, [])
    assert adapter.bucket.names(f"outputs/{name}/") == {RESULT}
    last_line = result["user_process_last_stderr_lines"][-1]
    assert last_line.startswith(f"vestibule: error: {adapter.folder}/input/images/head-mri/crossmoda2021_ldn_77.mha: ")
    assert "truncated" in last_line
    return result


def test_one_server_does_three_tasks_and_the_broken_one_costs_no_other(
    container, kept, oblique_job, oblique_output, broken_job, tmp_path
):
    if is_taken(SERVE_PORT):
        pytest.skip(f"port {SERVE_PORT} is taken on this machine, and the adapter listens on no other")
    adapter = container("invoke")
    log = tmp_path / "log"
    jobs = {"first": kept / "input", "second": broken_job, "third": oblique_job}
    codes = {}
    with adapter.serving(log) as address:
        for name, job in jobs.items():
            task = json.dumps(adapter.task(name, job))
            answer = json.loads(ask("POST", address, task.encode()))
            codes[name] = answer["return_code"]
    assert codes == {"first": 0, "second": 1, "third": 0}
    first = check_good(adapter, "first", kept / "expected", tmp_path)
    third = check_good(adapter, "third", oblique_output, tmp_path)
    for result in (first, third, check_broken(adapter, "second")):
        assert result["invoke_duration"]
        assert result["exec_duration"] is None
    told = log.read_text()
    assert shown_to_user(told)
    # Our server ends when it is told to.
    assert "Process group terminated" in told
    assert "SIGKILL" not in told


def test_list_of_tasks_ends_at_the_first_that_fails_and_the_user_sees_its_cause(
    container, kept, broken_job, oblique_job, tmp_path
):
    adapter = container("invoke")
    tasks = [adapter.task("a", broken_job), adapter.task("b", kept / "input")]
    done = adapter.run(tasks)
    # The adapter's own code: what became of the tasks lies in the bucket.
    assert done.returncode == 0, done.stderr
    assert adapter.setup_result()["return_code"] == 0
    result = check_broken(adapter, "a")
    assert adapter.bucket.names("outputs/b/") == set()
    assert shown_to_user(done.stderr)[-1] == result["user_process_last_stderr_lines"][-1].strip()


def test_image_of_the_older_style_is_started_for_each_task(container, kept, broken_job, tmp_path):
    adapter = container("exec")
    done = adapter.run([adapter.task("x", kept / "input"), adapter.task("y", broken_job)])
    assert done.returncode == 0, done.stderr
    result = check_good(adapter, "x", kept / "expected", tmp_path)
    assert result["exec_duration"]
    assert result["invoke_duration"] is None
    assert check_broken(adapter, "y")["exec_duration"]


def submission(folder, shift):
    """The platform's jobs of one case, whose mask is shifted by so many voxels."""
    write_volume(folder / "job" / "output" / "images" / "vs" / "0.mha", mask(shift))
    image = {"name": EVALUATED.target_name(CASE)}
    listed = {
        "pk": "job",
        "inputs": [{"image": image, "socket": {"slug": "t2", "super_kind": "Image"}}],
        "outputs": [{"image": image, "socket": {"slug": "vs", "super_kind": "Image"}}],
        # Of a server, the platform tells the second.
        "exec_duration": None,
        "invoke_duration": "P0DT00H00M05S",
    }
    write_json(folder / LISTING, [listed])
    return folder


def mask(shift=0):
    voxels = np.zeros(GRID.size_zyx, dtype=np.uint8)
    voxels[2:5, 3 + shift : 7 + shift, 3:7] = 1
    voxels[2:4, 10:12, 10:12] = 2
    return Volume(voxels, GRID)


def test_evaluation_scores_one_submission_after_the_other_against_references_that_are_brought(
    programs, bucket, repository, tmp_path, monkeypatch
):
    monkeypatch.chdir(repository)
    reference = tmp_path / EVALUATED.label_name(CASE)
    write_volume(reference, mask())
    with tarfile.open(tmp_path / "references.tar.gz", "w:gz") as archive:
        archive.add(reference, reference.name)
    bucket.put("references.tar.gz", (tmp_path / "references.tar.gz").read_bytes())
    entry_point = [sys.executable, "-m", "evaluation.platform.container"]
    own = {
        "VESTIBULE_API": "auto",
        "VESTIBULE_WORKERS": "1",
        "GRAND_CHALLENGE_COMPONENT_GROUND_TRUTH": f"s3://{BUCKET}/references.tar.gz",
    }
    adapter = Adapter(programs, bucket, tmp_path / "container", entry_point, "invoke", own)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / LISTING).write_text("{}")
    jobs = {
        "same": submission(tmp_path / "same", 0),
        "shifted": submission(tmp_path / "shifted", 1),
        "listless": tmp_path / "broken",
    }
    done = adapter.run([adapter.task(name, job) for name, job in jobs.items()])
    assert done.returncode == 0, done.stderr
    means = {}
    for name in ("same", "shifted"):
        assert adapter.result(name)["return_code"] == 0
        assert adapter.bucket.names(f"outputs/{name}/") == {"metrics.json", "cases.csv", RESULT}
        metrics = json.loads(adapter.bucket.get(f"outputs/{name}/metrics.json"))
        means[name] = metrics["aggregates"]["vs_dice"]["mean"]
    # 3 of 4 rows lie on each other.
    assert means == {"same": 1.0, "shifted": pytest.approx(0.75)}
    failed = adapter.result("listless")
    assert failed["return_code"] == 1
    assert LISTING in failed["user_process_last_stderr_lines"][-1]
