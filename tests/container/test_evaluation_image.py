"""The organisers' image: real build, strict sandbox, scores and a ranking out."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from contract.sandbox import Engine
from tests.container.own_image import passed_points
from vestibule.editions import get_edition
from vestibule.volume import Geometry, Volume, write_volume

pytestmark = pytest.mark.container

IMAGE = "localhost/vestibule-evaluation:test"
EDITION = get_edition(2022)
CASES = ("crossmoda2021_ldn_2", "crossmoda2022_etz_1")
GEOMETRY = Geometry((8, 16, 16), (1.5, 1.0, 1.0), (5.0, -3.0, 7.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))


@pytest.fixture(scope="module")
def evaluation_image(engine, base, repository) -> str:
    command = ["./build.sh", "--cpu", "--base", base, "--evaluation", "--tag", IMAGE]
    built = subprocess.run(command, cwd=repository, env=engine.environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return IMAGE


def masks(folder: Path, shift: int = 0) -> Path:
    voxels = np.zeros(GEOMETRY.size_zyx, dtype=np.uint8)
    voxels[2:5, 3 + shift : 7 + shift, 3:7] = 1
    voxels[2:4, 10:12, 10:12] = 2
    for case in CASES:
        write_volume(folder / EDITION.prediction_name(case), Volume(voxels, GEOMETRY))
    return folder


def test_every_point_of_the_contract_is_green(engine, evaluation_image, repository):
    passed = passed_points(engine, evaluation_image, repository, "--edition", "2022", "--contract", "evaluation")
    assert {"invoke: health", "invoke: second case", "evaluation: metrics.json", "no network"} <= passed


def test_two_teams_are_scored_and_ranked_in_the_sandbox(engine, evaluation_image, tmp_path):
    for shift, team in enumerate(("better", "worse")):
        masks(tmp_path / "in" / team, shift)
    references, output = masks(tmp_path / "references"), tmp_path / "out"
    output.mkdir()
    output.chmod(0o777)
    mount = ("--volume", f"{references}:/opt/ml/input/data/ground_truth:ro")
    run = Engine(engine.program).run(evaluation_image, tmp_path / "in", output, 600, True, *mount)
    assert run.exit_code == 0, run.outcome
    ranking = json.loads((output / "ranking.json").read_text())
    assert [team["team"] for team in ranking["ranking"]] == ["better", "worse"]
    metrics = json.loads((output / "better" / "metrics.json").read_text())
    assert metrics["aggregates"]["vs_dice"]["mean"] == 1.0


def test_it_is_a_server_where_nothing_lies_in_its_input_yet(engine, evaluation_image, tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    for folder in (source, output):
        folder.mkdir()
        folder.chmod(0o777)
    # It is asked for a job, finds none, says so, and lives on: that is a server.
    run = Engine(engine.program).invoke(evaluation_image, source, output, 120)
    assert run.exit_code == 1
    assert run.last_line.startswith("vestibule: error: ")


def test_the_evaluation_image_holds_no_torch(engine, evaluation_image):
    code = "import importlib.util as u; print([n for n in ('torch', 'nnunetv2', 'evalutils') if u.find_spec(n)])"
    flags = ("--rm", "--network", "none", "--entrypoint", "python3")
    assert engine("run", *flags, evaluation_image, "-c", code).stdout.strip() == "[]"
