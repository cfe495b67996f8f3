from dataclasses import replace
from types import SimpleNamespace

import pytest

from training import runner
from training.config import stages_of
from training.config.view import SectionView
from training.run_folder import read_outputs
from training.runner import run_stage
from training.stage_table import CYCLEGAN, EXPORT, HARMONISER, PREPARE, SEGMENTER, SUPERVISED, Stage
from vestibule.errors import InputError
from vestibule.files import read_json, write_json

CALLS = []
FAKE = Stage("fake", "a fake", needs=(), sections=("cyclegan",), entry="somewhere:f")


def count_calls(config, run_dir):
    CALLS.append(config.cyclegan.iterations)
    path = FAKE.folder(run_dir) / "out.txt"
    path.write_text(str(config.cyclegan.iterations))
    return [path]


def be_killed(config, run_dir):
    (FAKE.folder(run_dir) / "state.txt").write_text("half way")
    raise KeyboardInterrupt


@pytest.fixture
def fake(monkeypatch):
    """Let FAKE count its calls; returns a function that swaps its entry."""
    CALLS.clear()

    def use(function):
        monkeypatch.setattr(runner.importlib, "import_module", lambda name: SimpleNamespace(f=function))

    use(count_calls)
    return use


def test_done_and_unchanged_stage_is_skipped(fake, config, tmp_path):
    assert run_stage(FAKE, config, tmp_path)
    assert not run_stage(FAKE, config, tmp_path)
    assert CALLS == [4]


def test_changed_section_runs_again_and_other_sections_do_not(fake, config, tmp_path):
    run_stage(FAKE, config, tmp_path)
    assert not run_stage(FAKE, replace(config, pix2pix=replace(config.pix2pix, iterations=9)), tmp_path)
    assert run_stage(FAKE, replace(config, cyclegan=replace(config.cyclegan, iterations=9)), tmp_path)
    assert CALLS == [4, 9]


def test_missing_output_runs_again(fake, config, tmp_path):
    run_stage(FAKE, config, tmp_path)
    (tmp_path / "fake" / "out.txt").unlink()
    assert run_stage(FAKE, config, tmp_path)


def test_killed_stage_keeps_its_state_for_the_same_configuration_alone(fake, config, tmp_path):
    fake(be_killed)
    with pytest.raises(KeyboardInterrupt):
        run_stage(FAKE, config, tmp_path)
    assert not (tmp_path / "fake" / "stage.json").exists()
    fake(count_calls)
    run_stage(FAKE, config, tmp_path)
    assert (tmp_path / "fake" / "state.txt").read_text() == "half way"
    run_stage(FAKE, replace(config, seed=7), tmp_path)
    assert not (tmp_path / "fake" / "state.txt").exists()


def test_record_holds_seed_configuration_code_version_and_hash_of_outputs(fake, config, tmp_path):
    run_stage(FAKE, config, tmp_path)
    record = read_json(tmp_path / "fake" / "stage.json")
    assert record["seed"] == 0
    assert record["config"]["cyclegan"]["iterations"] == 4
    assert record["code_version"].startswith("0.")
    # sha256 of the text "4"
    assert record["outputs"] == {"out.txt": "4b227777d4dd1fc61c6f884f48641d02b4d121d3fd328cb08b5531fcacdabf8a"}


def test_stage_without_its_input_says_which_to_run(config, tmp_path):
    with pytest.raises(InputError, match="stage 'prepare' is not done"):
        run_stage(CYCLEGAN, config, tmp_path)


def test_baseline_alone_needs_no_one_shot_stage(config):
    assert stages_of(replace(config, arms=("baseline",))) == [PREPARE, CYCLEGAN, SEGMENTER, EXPORT]


def test_upper_bound_alone_translates_nothing(config):
    assert stages_of(replace(config, arms=("supervised",))) == [PREPARE, SUPERVISED, EXPORT]


def test_stage_is_given_the_sections_of_its_row_and_the_seed(config):
    view = SectionView(config, FAKE)
    assert view.cyclegan == config.cyclegan
    assert view.seed == config.seed
    with pytest.raises(AttributeError, match=r"stage 'fake' reads .*'pix2pix', but its row .* names cyclegan alone"):
        _ = view.pix2pix


@pytest.mark.parametrize(
    ("stage", "section"),
    [
        ("singan", {"singan": {}}),
        ("blend", {"blend": {}}),
        ("transfer", {"transfer": {"injection_scale": 3}, "edition": 2021}),
        ("prepare", {"prepare": {}, "edition": 2021}),
    ],
)
def test_run_of_an_earlier_version_is_refused_and_left_alone(fake, config, tmp_path, stage, section):
    record = tmp_path / stage / "config.json"
    write_json(record, {"fingerprint": "0", "config": section})
    with pytest.raises(InputError, match=r"an earlier version .* began this run.* name a new folder by --run"):
        run_stage(FAKE, config, tmp_path)
    with pytest.raises(InputError, match="an earlier version"):
        read_outputs(tmp_path, HARMONISER)
    assert read_json(record)["fingerprint"] == "0"
    assert CALLS == []


def test_half_written_json_counts_as_absent(tmp_path):
    (tmp_path / "stage.json").write_text('{"a": ')
    assert read_json(tmp_path / "stage.json") is None
    write_json(tmp_path / "stage.json", {"a": 1})
    assert read_json(tmp_path / "stage.json") == {"a": 1}
