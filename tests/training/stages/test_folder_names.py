"""A download whose folders are called otherwise is prepared, by known names or by those that a user gives."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from training.commands.train import train
from training.config import read_config
from training.data.intermediates import target_images
from training.data.slices import read_cases
from vestibule.cli import main
from vestibule.data_folders import TARGET, VALIDATION
from vestibule.editions import get_edition
from vestibule.volume import Geometry, Volume, write_volume

EDITION = get_edition(2023)
GEOMETRY = Geometry((4, 40, 40), (1.5, 0.9, 0.9), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
CONFIG = """
name: mine
intended_use: challenge
edition: 2023
arms: [baseline]
prepare: {size_yx: [256, 256], spacing_yx_mm: [0.9, 0.9]}
"""


@pytest.fixture
def data(tmp_path):
    """A source, a target and a validation case of 2023, as its archives unpack."""
    _, y, x = np.mgrid[tuple(slice(n) for n in GEOMETRY.size_zyx)]
    head = Volume(100 * ((y - 20) ** 2 + (x - 20) ** 2 < 15**2).astype(np.float32), GEOMETRY)
    labels = Volume(((abs(y - 20) < 4) & (abs(x - 20) < 4)).astype(np.uint8), GEOMETRY)
    root = tmp_path / "data"
    sources = root / "crossmoda23_training" / "TrainingSource"
    write_volume(sources / EDITION.source_name("crossmoda2023_ldn_1"), head)
    write_volume(sources / EDITION.label_name("crossmoda2023_ldn_1"), labels)
    targets = root / "crossmoda23_training" / "TrainingTarget"
    write_volume(targets / EDITION.target_name("crossmoda2023_etz_2"), head)
    write_volume(root / "crossmoda23_validation" / EDITION.target_name("crossmoda2023_ukm_3"), head)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return root


def prepare(data, *options: object):
    root = data.parent
    arguments = ["prepare", "--config", root / "config.yaml", "--run", root / "run", "--data", data, *options]
    return CliRunner().invoke(train, [str(argument) for argument in arguments])


def cases_of(data) -> list[str]:
    run_dir = data.parent / "run"
    return [case.name for domain in ("source", "target") for case in read_cases(run_dir, domain)]


def test_the_archives_of_2023_are_prepared_as_they_unpack(data):
    result = prepare(data)
    assert result.exit_code == 0, result.output
    assert cases_of(data) == ["crossmoda2023_ldn_1", "crossmoda2023_etz_2"]
    assert json.loads((data.parent / "run" / "data.json").read_text()) == {"data": str(data)}
    assert list(target_images(data.parent / "run", EDITION, VALIDATION)) == ["crossmoda2023_ukm_3"]
    assert list(target_images(data.parent / "run", EDITION, TARGET)) == ["crossmoda2023_etz_2"]


def test_names_that_nothing_knows_are_given_on_the_command_line_or_in_the_configuration(data):
    (data / "crossmoda23_training" / "TrainingSource").rename(data / "t1")
    (data / "crossmoda23_training" / "TrainingTarget").rename(data / "t2")
    refused = prepare(data)
    assert refused.exit_code == 1
    message = str(refused.exception)
    assert "data holds crossmoda23_training, crossmoda23_validation, t1, t2" in message
    assert "by folders.source in the configuration or --folder source=NAME" in message

    given = prepare(data, "--folder", "source=t1", "--folder", "target=t2")
    assert given.exit_code == 0, given.output
    assert cases_of(data) == ["crossmoda2023_ldn_1", "crossmoda2023_etz_2"]
    assert "done and unchanged" in prepare(data, "--folder", "source=t1", "--folder", "target=t2").output

    shutil.rmtree(data.parent / "run")
    (data.parent / "config.yaml").write_text(CONFIG + "folders: {source: t1, target: t2}\n")
    assert read_config(data.parent / "config.yaml").folders.named == {"source": "t1", "target": "t2"}
    assert prepare(data).exit_code == 0
    assert cases_of(data) == ["crossmoda2023_ldn_1", "crossmoda2023_etz_2"]


def test_another_folder_is_prepared_again(data):
    assert prepare(data).exit_code == 0
    shutil.copytree(data / "crossmoda23_training" / "TrainingTarget", data / "more")
    shutil.copy(next((data / "crossmoda23_validation").iterdir()), data / "more")
    assert "made again" in prepare(data, "--folder", "target=more").output
    assert cases_of(data)[1:] == ["crossmoda2023_etz_2", "crossmoda2023_ukm_3"]


@pytest.mark.parametrize("value", ["t1", "middle=t1", "source="])
def test_a_wrong_value_is_wrong_usage(value, data):
    result = prepare(data, "--folder", value)
    assert result.exit_code == 2
    assert "expected source=NAME or target=NAME or validation=NAME" in result.output


def test_folders_do_not_go_with_phantoms(data, monkeypatch, capsys):
    (data.parent / "config.yaml").write_text(CONFIG + "phantom: {}\nfolders: {source: t1}\n")
    words = ["vestibule", "train", "prepare", "--config", str(data.parent / "config.yaml"), "--run", str(data / "r")]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit):
        main()
    assert "folders is for data from outside" in capsys.readouterr().err
