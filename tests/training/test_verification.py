"""`vestibule train verify`, on a run of two stages that were recorded by hand."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from training import runner
from training.commands.train import train
from training.stage_table import CYCLEGAN, PREPARE
from training.verification import Fault, verify_run
from vestibule.errors import InputError
from vestibule.files import read_json, write_json


def finish(stage, run_dir, sections):
    folder = stage.folder(run_dir)
    folder.mkdir(parents=True)
    (folder / "sub").mkdir()
    outputs = [folder / "a.bin", folder / "sub" / "b.bin"]
    for number, path in enumerate(outputs):
        path.write_bytes(bytes([number] * 100))
    (folder / "state.pt").write_text("a checkpoint")
    record = {"stage": stage.name, "seed": 0, "config": {section: {} for section in sections}, "inputs": {}}
    write_json(folder / "config.json", record)
    runner._finish(stage, record, outputs, 1.0, run_dir)


@pytest.fixture
def run_dir(tmp_path):
    """A run with `prepare` and `cyclegan`."""
    finish(PREPARE, tmp_path, PREPARE.sections)
    finish(CYCLEGAN, tmp_path, CYCLEGAN.sections)
    return tmp_path


def damage(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def test_whole_run_has_no_faults(run_dir):
    found = verify_run(run_dir)
    assert found.verified == {"prepare": 2, "cyclegan": 2}
    assert found.faults == ()
    assert CliRunner().invoke(train, ["verify", str(run_dir)]).exit_code == 0


def test_damaged_missing_and_foreign_files_are_named(run_dir):
    damage(run_dir / "prepare/sub/b.bin", 57)
    (run_dir / "cyclegan/a.bin").unlink()
    (run_dir / "cyclegan/sub/c.bin").write_text("from elsewhere")
    faults = verify_run(run_dir).faults
    assert [(fault.kind, fault.file) for fault in faults] == [
        ("damaged", "prepare/sub/b.bin"),
        ("missing", "cyclegan/a.bin"),
        ("foreign", "cyclegan/sub/c.bin"),
    ]


def test_what_a_stage_left_besides_its_outputs_is_not_foreign_and_may_go(run_dir):
    (run_dir / "cyclegan/state.pt").unlink()
    (run_dir / "cyclegan/.partial-1-a.bin").write_text("a killed process left this")
    assert verify_run(run_dir).faults == ()


def test_record_that_is_damaged_is_named(run_dir):
    path = run_dir / "cyclegan/stage.json"
    for content in ("{", "[]", '{"outputs": 3}', ""):
        path.write_text(content)
        (fault,) = verify_run(run_dir).faults
        assert (fault.kind, fault.file) == ("damaged", "cyclegan/stage.json")


def test_stage_that_is_not_finished_is_told_apart(run_dir):
    (run_dir / "cyclegan/stage.json").unlink()
    (run_dir / "cyclegan/a.bin").unlink()
    found = verify_run(run_dir)
    assert found.unfinished == ("cyclegan",)
    assert found.faults == ()


def test_record_of_an_earlier_version_knows_no_foreign_files(run_dir):
    path = run_dir / "cyclegan/stage.json"
    record = read_json(path)
    del record["others"]
    write_json(path, record)
    (run_dir / "cyclegan/c.bin").write_text("from elsewhere")
    assert verify_run(run_dir).faults == ()


def test_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        verify_run(tmp_path)


def test_command_prints_json_and_ends_with_the_first_fault(run_dir):
    damage(run_dir / "prepare/a.bin", 0)
    result = CliRunner().invoke(train, ["verify", str(run_dir), "--json"])
    found = json.loads(result.stdout)
    assert found["verified"] == {"prepare": 2, "cyclegan": 2}
    (fault,) = found["faults"]
    assert Fault(**fault).file == "prepare/a.bin"
    assert isinstance(result.exception, InputError)
    assert "files that are not as their stages left them: 1, the first damaged: prepare/a.bin" in str(result.exception)
    assert Path(found["run"]) == run_dir
