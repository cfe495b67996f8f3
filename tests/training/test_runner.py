import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from training import stage_module, stage_record
from training.config import LocalContrastConfig, SelfTrainingConfig, stages_of
from training.config.view import SectionView
from training.fingerprint import extending_keys, harmless_keys
from training.phantom.config import PhantomConfig
from training.run_folder import read_outputs
from training.runner import run_stage, run_stages
from training.stage_table import (
    CYCLEGAN,
    DIRECT_SEGMENTER,
    EXPORT,
    HARMONISER,
    POSTPROCESSING,
    PREPARE,
    SEGMENTER,
    SELF_TRAINING,
    SUPERVISED,
    Stage,
)
from vestibule.errors import InputError
from vestibule.files import read_json, write_json
from vestibule.networks import GeneratorConfig

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
        monkeypatch.setattr(stage_module.importlib, "import_module", lambda name: SimpleNamespace(f=function))

    use(count_calls)
    return use


def test_done_and_unchanged_stage_is_skipped(fake, config, tmp_path):
    assert run_stage(FAKE, config, tmp_path)
    assert not run_stage(FAKE, config, tmp_path)
    assert CALLS == [4]


def test_run_tells_what_it_is_doing(fake, config, tmp_path):
    seen = []

    def look_in(config, run_dir):
        seen.append(read_json(run_dir / "status.json")["fake"]["state"])
        return count_calls(config, run_dir)

    fake(look_in)
    run_stage(FAKE, config, tmp_path)
    assert seen == ["running"]
    assert read_json(tmp_path / "status.json")["fake"]["state"] == "done"


def test_what_a_stage_finds_in_its_result_is_told_and_kept(fake, config, tmp_path, monkeypatch, caplog):
    module = SimpleNamespace(f=count_calls, inspect=lambda config, run_dir: ["the tumours are gone"])
    monkeypatch.setattr(stage_module.importlib, "import_module", lambda name: module)
    run_stage(FAKE, config, tmp_path)
    assert "warning: fake: the tumours are gone" in caplog.text
    entry = read_json(tmp_path / "status.json")["fake"]
    assert (entry["state"], [warning["text"] for warning in entry["warnings"]]) == ("done", ["the tumours are gone"])


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


def test_two_runs_at_once_in_one_folder_are_refused_and_change_nothing(fake, config, tmp_path):
    def run_again(config, run_dir):
        with pytest.raises(InputError, match="fake: is being written by process"):
            run_stage(FAKE, other, run_dir)
        return count_calls(config, run_dir)

    other = replace(config, seed=7)
    fake(run_again)
    run_stage(FAKE, config, tmp_path)
    assert not (tmp_path / "old").exists()
    assert not (tmp_path / ".fake.lock").exists()


def test_what_a_killed_process_was_writing_is_removed(fake, config, tmp_path):
    fake(be_killed)
    with pytest.raises(KeyboardInterrupt):
        run_stage(FAKE, config, tmp_path)
    (tmp_path / "fake" / "sub").mkdir()
    (tmp_path / "fake" / "sub" / ".partial-1-state.pt").write_text("half")
    fake(count_calls)
    run_stage(FAKE, config, tmp_path)
    assert list((tmp_path / "fake" / "sub").iterdir()) == []


def test_what_another_configuration_made_is_kept_and_the_changed_keys_are_named(fake, config, tmp_path):
    told = []
    run_stage(FAKE, config, tmp_path)
    run_stage(FAKE, replace(with_cyclegan(config, iterations=9), seed=7), tmp_path, told.append)
    (kept,) = (tmp_path / "old").iterdir()
    assert kept.name.startswith("fake-")
    assert (kept / "out.txt").read_text() == "4"
    assert told[0] == (
        "fake: made again, since cyclegan.iterations was 4 and is 9; seed was 0 and is 7; "
        f"what was there is now in {kept}"
    )
    # Within the same second.
    run_stage(FAKE, with_cyclegan(config, iterations=5), tmp_path)
    assert len(list((tmp_path / "old").iterdir())) == 2


@pytest.mark.parametrize("key", ["sample_every", "checkpoint_every"])
def test_key_that_changes_no_result_makes_nothing_again(fake, config, tmp_path, key):
    run_stage(FAKE, config, tmp_path)
    assert not run_stage(FAKE, with_cyclegan(config, **{key: 77}), tmp_path)
    assert not (tmp_path / "old").exists()


def test_interval_of_sheets_matters_where_they_use_up_the_random_numbers_of_dropout(config):
    dropout = replace(config.pix2pix, generator=GeneratorConfig("unet", 4, 5, 0.5))
    assert "pix2pix.sample_every" in harmless_keys(config)
    assert "pix2pix.sample_every" not in harmless_keys(replace(config, pix2pix=dropout))
    # The running mean is shown without dropout.
    assert "pix2pix.sample_every" in harmless_keys(replace(config, pix2pix=replace(dropout, average=0.9)))


@pytest.mark.parametrize("key", ["segmenter.tile_step", "segmenter.mirror_at_test"])
def test_how_images_are_predicted_matters_to_a_training_that_learns_from_predictions_alone(config, key):
    for stage in (SEGMENTER, DIRECT_SEGMENTER, SUPERVISED):
        assert key in harmless_keys(config, stage.name)
    for stage in (SELF_TRAINING, POSTPROCESSING):
        assert key not in harmless_keys(config, stage.name)


def test_direct_segmenter_depends_on_its_predictions_where_it_trains_on_them(config):
    arms = replace(config, arms=("direct", "supervised"))
    rounds = replace(arms, self_training=SelfTrainingConfig(stages=(DIRECT_SEGMENTER.name,)))
    assert "segmenter.tile_step" in harmless_keys(arms, DIRECT_SEGMENTER.name)
    assert "segmenter.tile_step" not in harmless_keys(rounds, DIRECT_SEGMENTER.name)
    assert extending_keys(rounds, DIRECT_SEGMENTER.name) == set()
    assert extending_keys(rounds, SUPERVISED.name) == {"segmenter.folds"}


def with_folds(config, *folds):
    return replace(config, segmenter=replace(config.segmenter, folds=folds))


def leave_folds(config, run_dir):
    paths = []
    for fold in config.segmenter.folds:
        path = SEGMENTER.folder(run_dir) / f"fold_{fold}"
        if not path.exists():
            CALLS.append(fold)
            path.write_text(str(fold))
        paths.append(path)
    return paths


def test_fold_that_is_added_leaves_the_finished_ones_as_they_are(fake, config, tmp_path):
    told = []
    fake(leave_folds)
    # The stage's row, without the input that it reads.
    segmenter = replace(SEGMENTER, entry="somewhere:f", needs=())
    run_stage(segmenter, with_folds(config, 0), tmp_path)
    assert run_stage(segmenter, with_folds(config, 0, 1), tmp_path, told.append)
    assert CALLS == [0, 1]
    assert told[0] == ("segmenter: goes on, since segmenter.folds was [0] and is [0, 1]; what is made already stays")
    assert not (tmp_path / "old").exists()
    assert sorted(read_outputs(tmp_path, SEGMENTER)) == ["fold_0", "fold_1"]
    # Taken out again, and with another key besides.
    assert run_stage(segmenter, with_folds(config, 1), tmp_path)
    assert sorted(read_outputs(tmp_path, SEGMENTER)) == ["fold_1"]
    other = with_folds(config, 0, 1)
    run_stage(segmenter, replace(other, segmenter=replace(other.segmenter, epochs=3)), tmp_path)
    assert CALLS == [0, 1, 0, 1]
    assert len(list((tmp_path / "old").iterdir())) == 1


def test_another_fold_makes_a_training_that_learns_from_predictions_again(config):
    for stage in (SEGMENTER, DIRECT_SEGMENTER):
        assert extending_keys(config, stage.name) == {"segmenter.folds"}
    for stage in (SELF_TRAINING, POSTPROCESSING):
        assert extending_keys(config, stage.name) == set()


SINCE = replace(SEGMENTER, needs=(), entry=FAKE.entry)
BEFORE = replace(SINCE, sections=("segmenter", "edition"))
"""The row of before it had the section `local_contrast`."""


def test_key_of_a_later_version_makes_nothing_again_at_its_default_and_does_at_another_value(fake, config, tmp_path):
    fake(lambda view, run_dir: [])
    on = replace(config, local_contrast=LocalContrastConfig(stages=(SINCE.name,)))
    assert run_stage(BEFORE, config, tmp_path)
    assert not run_stage(SINCE, config, tmp_path)
    told = []
    assert run_stage(SINCE, on, tmp_path, told.append)
    assert 'local_contrast.origin was null and is "mean"' in told[0]
    # What the added key has made is not taken for what is made without it.
    assert run_stage(SINCE, config, tmp_path)


def test_section_for_some_stages_leaves_the_others_as_they_are(fake, config, tmp_path):
    fake(lambda view, run_dir: [])
    others = replace(config, arms=("direct",), local_contrast=LocalContrastConfig())
    run_stage(SINCE, config, tmp_path)
    assert not run_stage(SINCE, others, tmp_path)
    assert SectionView(others, SINCE).local_contrast is None
    assert SectionView(others, DIRECT_SEGMENTER).local_contrast == others.local_contrast


def test_section_that_no_stage_of_the_arms_would_use_is_refused(config):
    with pytest.raises(ValueError, match=r"local_contrast.stages names .*train nnU-Net in \['segmenter'\]"):
        replace(config, local_contrast=LocalContrastConfig())


def test_number_of_workers_changes_no_phantom(config):
    assert "phantom.workers" in harmless_keys(replace(config, phantom=PhantomConfig()))


def test_record_of_a_version_that_counted_every_key_is_still_of_the_same_result(fake, config, tmp_path):
    run_stage(FAKE, config, tmp_path)
    for name in ("config.json", "stage.json"):
        record = read_json(tmp_path / "fake" / name)
        record["fingerprint"] = "of every key"
        record.pop("files", None)
        write_json(tmp_path / "fake" / name, record)
    assert not run_stage(FAKE, config, tmp_path)


def with_cyclegan(config, **changes):
    return replace(config, cyclegan=replace(config.cyclegan, **changes))


def test_output_of_another_size_runs_again(fake, config, tmp_path):
    told = []
    run_stage(FAKE, config, tmp_path)
    (tmp_path / "fake" / "out.txt").write_text("")
    assert run_stage(FAKE, config, tmp_path, told.append)
    assert told[0].endswith("out.txt: has 0 bytes, and 1 were written")


def test_copied_run_is_done_as_long_as_its_bytes_are_the_same(fake, config, tmp_path):
    run_stage(FAKE, config, tmp_path)
    path = tmp_path / "fake" / "out.txt"
    os.utime(path, (1, 1))
    assert not run_stage(FAKE, config, tmp_path)
    path.write_text("5")
    assert run_stage(FAKE, config, tmp_path)


def test_altered_output_stops_the_stage_that_reads_it(fake, config, tmp_path):
    run_stage(FAKE, config, tmp_path)
    (tmp_path / "fake" / "out.txt").write_text("longer")
    with pytest.raises(InputError, match=r"out\.txt: has 6 bytes, and 1 were written; run stage 'fake' again"):
        read_outputs(tmp_path, FAKE)


def test_export_reads_every_byte_of_what_it_packs(fake, config, tmp_path, monkeypatch):
    last = Stage("last", "an export", needs=None, sections=("cyclegan",), entry="somewhere:f")
    monkeypatch.setattr(stage_record, "stages_of", lambda config: [FAKE, last])
    run_stage(FAKE, config, tmp_path)
    path = tmp_path / "fake" / "out.txt"
    time = path.stat().st_mtime_ns
    path.write_text("5")
    # As a disk does it, whose files keep their times.
    os.utime(path, ns=(time, time))
    with pytest.raises(InputError, match=r"out\.txt: is altered, .*the next run makes stage 'fake' again"):
        run_stage(last, config, tmp_path)
    assert run_stage(FAKE, config, tmp_path)


def test_data_that_cannot_be_found_clear_nothing(config, tmp_path):
    prepared = tmp_path / "run" / "prepare" / "index.json"
    write_json(prepared, {"cases": []})
    write_json(tmp_path / "run" / "data.json", {"data": "/nowhere"})
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match=r"other.*no such folder, nor one called"):
        run_stages(config, tmp_path / "run", tmp_path / "other", PREPARE)
    assert read_json(tmp_path / "run" / "data.json") == {"data": "/nowhere"}
    with pytest.raises(InputError, match="no such folder"):
        run_stage(PREPARE, config, tmp_path / "run")
    assert prepared.is_file()


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


@pytest.mark.parametrize("record", ["[]", "1", '{"config": 1}', '{"config": {}, "inputs": {}, "outputs": []}'])
def test_a_record_of_another_form_counts_as_none(fake, config, tmp_path, record):
    run_stage(FAKE, config, tmp_path)
    (FAKE.folder(tmp_path) / "stage.json").write_text(record)
    assert run_stage(FAKE, config, tmp_path)
    (FAKE.folder(tmp_path) / "config.json").write_text(record)
    (FAKE.folder(tmp_path) / "stage.json").unlink()
    assert run_stage(FAKE, config, tmp_path)
