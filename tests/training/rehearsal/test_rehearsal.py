"""A run in small before the run: what it is made of, what it foretells, and what becomes of a stage that fails."""

import json
import multiprocessing
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from training.config import AugmentConfig, SelfTrainingConfig, read_config, stages_of
from training.rehearsal import rehearse as module
from training.rehearsal.forecast import Rehearsed, bytes_of, pace, seconds_of
from training.rehearsal.rehearse import rehearse
from training.rehearsal.report import duration, lines_of
from training.rehearsal.shorten import CASES, shortened
from training.rehearsal.trial import Trial, tried
from training.stage_table import (
    CYCLEGAN,
    DIRECT_SEGMENTER,
    HARMONISER,
    PHANTOM,
    PREPARE,
    SECOND_CYCLEGAN,
    SEGMENTER,
    SELF_TRAINING,
)
from vestibule import stopping
from vestibule.cli import cli
from vestibule.errors import InputError


@pytest.fixture(params=["crossmoda2021", "crossmoda2022", "crossmoda2023", "phantom"])
def shipped(request, repository):
    return read_config(repository / "configs" / f"{request.param}.yaml")


@pytest.fixture
def tiny(repository):
    return read_config(repository / "tests" / "reliability" / "faults" / "tiny.yaml")


def test_networks_and_images_of_a_rehearsal_are_the_runs_own(shipped):
    short = shortened(shipped, 6)
    assert stages_of(short) == stages_of(shipped)
    assert short.prepare == shipped.prepare
    assert short.cyclegan.generator == shipped.cyclegan.generator
    assert short.cyclegan.sampling == shipped.cyclegan.sampling
    assert short.segmenter.configuration == shipped.segmenter.configuration
    assert short.segmenter.features_base == shipped.segmenter.features_base
    assert short.cyclegan.iterations == short.pix2pix.iterations == short.harmoniser.iterations == 6
    assert len(short.segmenter.folds) <= 1


def write_losses(folder, rows, header="iteration,seconds"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "losses.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_first_step_begins_the_clock(tmp_path):
    assert pace(write_losses(tmp_path, ["1,30.0", "2,32.0", "5,38.0"])) == 2.0


def test_scales_have_paces_of_their_own(tmp_path):
    rows = ["1,1.0,0", "3,2.0,0", "4,9.0,1", "6,13.0,1", "7,20.0,2"]
    path = write_losses(tmp_path, rows, "iteration,seconds,scale")
    # The third has one row, which tells no pace.
    assert pace(path, "scale") == 0.5 + 2.0


def rehearsed(config, stage, folder, seconds=10.0, share=1.0):
    return Rehearsed(stage, Trial(seconds), folder, config, share)


def test_stages_of_images_take_their_time_for_each_case(tiny, tmp_path):
    assert seconds_of(rehearsed(tiny, PREPARE, tmp_path, seconds=12.0, share=35.0)) == 420.0


def test_gans_and_harmonisers_take_their_pace_for_each_iteration(tiny, tmp_path):
    write_losses(tmp_path, ["1,30.0,0", "3,34.0,0"], "iteration,seconds,scale")
    config = replace(tiny, cyclegan=replace(tiny.cyclegan, iterations=1000))
    assert seconds_of(rehearsed(config, CYCLEGAN, tmp_path)) == 2000.0
    two = replace(tiny, reference=replace(tiny.reference, count=2))
    assert seconds_of(rehearsed(two, HARMONISER, tmp_path)) == 2 * 2.0 * tiny.harmoniser.iterations


def test_nnunet_takes_its_pace_for_all_epochs_folds_and_rounds(tiny, tmp_path):
    # Two steps and the validation of one, which has no way back: a third of a step.
    (tmp_path / "training_log_1.txt").write_text("Epoch time: 99.0 s\nEpoch time: 7.0 s\n")
    segmenter = replace(tiny.segmenter, folds=(0, 1), epochs=10, iterations_per_epoch=30)
    config = replace(tiny, segmenter=segmenter)
    # 3 s a step: an epoch is 30 steps and 3 of validation.
    epoch = 3.0 * (30 + 1)
    planning = 4.0 * 5
    found = seconds_of(rehearsed(config, SEGMENTER, tmp_path, seconds=110.0, share=5.0))
    assert found == pytest.approx(10 * epoch * 2 + planning)

    augment = replace(config.augment, rounds=1, last_on_target=True, last_epochs=40)
    rounds = replace(config, augment=augment)
    found = seconds_of(rehearsed(rounds, SELF_TRAINING, tmp_path, seconds=110.0, share=5.0))
    assert found == pytest.approx((10 + 10 + 40) * epoch * 2 + 3 * planning)


def test_rounds_and_a_second_translator_are_forecast_by_their_sections(tiny, tmp_path):
    (tmp_path / "training_log_1.txt").write_text("Epoch time: 7.0 s\n")
    write_losses(tmp_path, ["1,30.0", "3,34.0"])
    rounds = SelfTrainingConfig(rounds=1, last_epochs=3)
    second = replace(tiny.cyclegan, iterations=50)
    arms = ("direct", "blending")
    config = replace(tiny, arms=arms, augment=AugmentConfig(), self_training=rounds, second_cyclegan=second)
    assert seconds_of(rehearsed(config, SECOND_CYCLEGAN, tmp_path)) == 100.0
    # Two steps of 3 s and a third of one, in the tiny configuration's four epochs, twice, and at last in three.
    found = seconds_of(rehearsed(config, DIRECT_SEGMENTER, tmp_path, seconds=7.0))
    assert found == pytest.approx((4 + 4 + 3) * 7.0)
    short = shortened(config, 6)
    assert stages_of(short) == stages_of(config)
    assert short.second_cyclegan.iterations == 6


def test_disk_grows_with_cases_and_with_networks(tiny, tmp_path):
    (tmp_path / "case.npy").write_bytes(b"0" * 100)
    (tmp_path / "fold_0.safetensors").write_bytes(b"0" * 10)
    config = replace(tiny, segmenter=replace(tiny.segmenter, folds=(0, 1, 2)))
    assert bytes_of(rehearsed(config, SEGMENTER, tmp_path, share=4.0)) == 400 + 2 * 3 * 10


def test_a_stage_is_tried_in_a_process_of_its_own(tiny, tmp_path):
    trial = tried(PHANTOM, replace(tiny, phantom=replace(tiny.phantom, cases=1)), tmp_path, None)
    assert trial.failure is None
    assert trial.seconds > 0
    assert 0 < trial.cpu_seconds < 100 * trial.seconds
    assert trial.memory_bytes > 50e6
    assert list((tmp_path / "phantom" / "data").glob("*/*.nii.gz"))


def test_a_stage_that_fails_is_told_in_one_line(tiny, tmp_path):
    failed = tried(CYCLEGAN, tiny, tmp_path, None)
    assert "stage 'prepare' is not done" in failed.failure
    assert "\n" not in failed.failure


def test_a_stage_whose_process_is_killed_is_told(tiny, tmp_path):
    def kill() -> None:
        while not multiprocessing.active_children():
            time.sleep(0.01)
        multiprocessing.active_children()[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    killed = tried(PHANTOM, tiny, tmp_path, None)
    killer.join()
    assert "killed with exit code -9" in killed.failure


@pytest.fixture
def imitated(monkeypatch):
    """Trials that take a second each and fail for the stages that are named."""
    failing = {}

    def imitate(stage, config, run_dir, data):
        folder = stage.folder(run_dir)
        write_losses(folder, ["1,0.0,0", "2,1.0,0"], "iteration,seconds,scale")
        (folder / "training_log_1.txt").write_text("Epoch time: 1.0 s\n")
        return Trial(1.0, 10**9, 0, failing.get(stage.name), cpu_seconds=1.5)

    monkeypatch.setattr(module, "tried", imitate)
    return failing


def test_what_needs_a_stage_that_fails_is_not_tried_and_the_rest_is(tiny, imitated):
    imitated["harmoniser"] = "no slice"
    found = {stage.stage: stage for stage in rehearse(tiny).stages}
    assert found["harmoniser"].failure == "no slice"
    assert found["pix2pix"].failure == "not tried, since it needs transfer"
    assert found["segmenter"].failure is None
    assert found["segmenter"].seconds > 0
    assert found["pix2pix"].seconds is None


def test_command_tells_all_stages_and_fails_with_the_first_that_would(repository, imitated, tmp_path):
    config = str(repository / "tests" / "reliability" / "faults" / "tiny.yaml")
    told = CliRunner().invoke(cli, ["train", "rehearse", "--config", config])
    assert told.exit_code == 0, told.output
    assert "cyclegan       40 s       1.5    1 GB" in told.output
    assert "2 source and 2 target cases" in told.output

    out = tmp_path / "rehearsal.json"
    imitated["cyclegan"] = "no memory"
    failed = CliRunner().invoke(cli, ["train", "rehearse", "--config", config, "--json", str(out)])
    assert failed.exit_code == 1
    assert "stage 'cyclegan' would fail: no memory" in str(failed.exception)
    assert json.loads(out.read_text())["stages"][2]["failure"] == "no memory"


def test_rehearsal_takes_a_few_cases_of_the_data_and_the_reference_among_them(tiny, imitated, monkeypatch, tmp_path):
    # The images are empty, which would be refused.
    monkeypatch.setattr(module, "check_known", lambda config, known: None)
    data = tmp_path / "data"
    for number in range(20):
        for folder, ending in (("source_training", "ceT1"), ("source_training", "Label"), ("target_training", "hrT2")):
            path = data / folder / f"crossmoda2021_ldn_{number}_{ending}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"0")
    reference = replace(tiny.reference, case="crossmoda2021_ldn_7", slice=3)
    config = replace(tiny, phantom=None, arms=("oneshot",), reference=reference)
    scratch = tmp_path / "scratch"
    found = rehearse(config, data, scratch=scratch)
    assert found.cases == {"source": 20, "target": 20}
    linked = sorted(path.name for path in (scratch / "data" / "target_training").iterdir())
    assert len(linked) == CASES
    assert "crossmoda2021_ldn_7_hrT2.nii.gz" in linked
    assert len(list((scratch / "data" / "source_training").iterdir())) == 2 * CASES
    # One that was stopped, or is done, is made anew in its folder; nobody else's folder is.
    (scratch / "run" / "left").touch()
    rehearse(config, data, scratch=scratch)
    assert not (scratch / "run" / "left").exists()
    (tmp_path / "other" / "run").mkdir(parents=True)
    with pytest.raises(InputError, match="other: is not empty, and no rehearsal has made it"):
        rehearse(config, data, scratch=tmp_path / "other")
    assert (tmp_path / "other" / "run").is_dir()
    with pytest.raises(InputError, match="pass --data FOLDER"):
        rehearse(config)
    with pytest.raises(InputError, match="makes its own phantoms"):
        rehearse(tiny, data)


def test_stopped_rehearsal_says_that_it_begins_anew(tiny, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_rehearse", stop)
    monkeypatch.setitem(stopping._state, "describe", None)
    with pytest.raises(KeyboardInterrupt):
        rehearse(tiny)
    stopping._print_last_line()
    assert "stopped by Ctrl-C; a rehearsal that was stopped is made anew; go on with: " in capsys.readouterr().err


def test_too_little_disk_is_said():
    stage = SimpleNamespace(
        stage="cyclegan",
        seconds=90000.0,
        disk_bytes=5e9,
        memory_bytes=0,
        gpu_bytes=0,
        cpu_seconds=2.0,
        failure=None,
        rehearsed_seconds=1,
    )
    found = SimpleNamespace(
        stages=(stage,), failures=[], cases={"source": 1}, seconds=90000.0, disk_bytes=5e9, free_bytes=1e9
    )
    assert lines_of(found)[1].split() == ["cyclegan", "25.0", "h", "2.0", "5", "GB"]
    assert lines_of(found)[-1].startswith("disk: 5 GB of 1 GB free; too little")
    assert [duration(seconds) for seconds in (60, 600, 36000, 9e5)] == ["60 s", "10 min", "10.0 h", "10.4 days"]
