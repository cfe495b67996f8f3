from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.training.logging.nnunet_logger import MetaLogger

from tests.planned_segmenter import segmenter_config, write_planned
from training.nnunet.randomness import NumberedBatches, global_state, seed_all, set_global_state
from training.nnunet.resumable import LATEST, sampling_probabilities
from training.nnunet.trainer import Trainer
from training.stages import segmenter
from training.stages.segmenter import make_part_on, train_on
from vestibule.checkpoints import NUMBERS
from vestibule.errors import InputError
from vestibule.files import file_sha256


@pytest.fixture(autouse=True)
def no_plots(monkeypatch):
    """nnU-Net plots its losses after every epoch, which takes longer than all else here."""
    monkeypatch.setattr(MetaLogger, "plot_progress_png", lambda self, folder: None)


@pytest.fixture
def planned(tiny_bundle, tmp_path):
    """A function that makes a folder in which nnU-Net has planned."""

    def make(name, cases=2):
        write_planned(tmp_path / name, tiny_bundle, cases)
        return tmp_path / name

    return make


def die_at(monkeypatch, steps, error=KeyboardInterrupt):
    """Let training raise `error` instead of a later step; returns the losses, which go on to be collected."""
    losses = []
    original = Trainer.train_step

    def step(self, batch):
        if len(losses) == steps:
            raise error
        result = original(self, batch)
        losses.append(float(result["loss"]))
        return result

    monkeypatch.setattr(Trainer, "train_step", step)
    return losses


def weights(folder, fold="all"):
    return file_sha256(folder / f"fold_{fold}.safetensors")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_training_that_was_stopped_ends_with_the_weights_of_one_that_was_not(planned, monkeypatch, workers):
    monkeypatch.setenv("nnUNet_n_proc_DA", workers)
    config = segmenter_config()
    undisturbed, stopped = planned("undisturbed"), planned("stopped")
    train_on([], "T1", config, undisturbed)
    # In the middle of the third epoch.
    with monkeypatch.context() as patch:
        die_at(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            train_on([], "T1", config, stopped)
    assert not (stopped / "fold_all.safetensors").exists()
    # What another process has sampled by then.
    torch.manual_seed(99)
    np.random.seed(99)
    losses = die_at(monkeypatch, 99)
    train_on([], "T1", config, stopped)
    assert len(losses) == 4
    assert weights(stopped) == weights(undisturbed)


def test_batches_of_worker_processes_do_not_depend_on_their_number(planned, monkeypatch):
    config = segmenter_config(epochs=1)
    found = set()
    for workers in ("1", "3"):
        monkeypatch.setenv("nnUNet_n_proc_DA", workers)
        folder = planned(workers)
        train_on([], "T1", config, folder)
        found.add(weights(folder))
    assert len(found) == 1


def test_stopped_before_its_first_checkpoint_a_training_starts_as_it_did(planned, monkeypatch):
    config = segmenter_config(epochs=1)
    undisturbed, stopped = planned("undisturbed"), planned("stopped")
    train_on([], "T1", config, undisturbed)
    with monkeypatch.context() as patch:
        die_at(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            train_on([], "T1", config, stopped)
    train_on([], "T1", config, stopped)
    assert weights(stopped) == weights(undisturbed)


def test_fold_is_the_same_whichever_were_trained_before_it_and_is_kept(planned, monkeypatch):
    both, second = planned("both", cases=5), planned("second", cases=5)
    train_on([], "T1", segmenter_config(epochs=1, folds=(0, 1)), both)
    train_on([], "T1", segmenter_config(epochs=1, folds=(1,)), second)
    assert weights(both, 1) == weights(second, 1)
    assert weights(both, 0) != weights(both, 1)
    monkeypatch.setattr(segmenter, "_fit", pytest.fail)
    train_on([], "T1", segmenter_config(epochs=1, folds=(0, 1)), both)


def test_finished_fold_with_another_byte_is_made_again_of_its_last_checkpoint(planned, monkeypatch):
    config = segmenter_config(epochs=1)
    folder = planned("run")
    train_on([], "T1", config, folder)
    whole = weights(folder)
    path = folder / "fold_all.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    monkeypatch.setattr(segmenter, "_fit", pytest.fail)
    train_on([], "T1", config, folder)
    assert weights(folder) == whole


@pytest.mark.parametrize("name", ["planned.json", "planned.pt", "nnunet/preprocessed/*/nnUNetPlans.json"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-2])])
def test_planning_of_which_a_byte_is_missing_is_done_again(planned, monkeypatch, name, damage):
    folder = planned("run")
    (path,) = folder.glob(name)
    damage(path)
    calls = []

    def make_ready(*arguments):
        calls.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(segmenter, "_make_ready", make_ready)
    with pytest.raises(KeyboardInterrupt):
        train_on([], "T1", segmenter_config(), folder)
    assert len(calls) == 1


@pytest.mark.parametrize(("steps", "kept"), [(1, "No checkpoint had been written"), (5, "is kept")])
def test_loss_that_is_not_finite_stops_at_once_and_says_what_is_kept(planned, monkeypatch, steps, kept):
    folder = planned("run")
    original = Trainer._build_loss
    calls = []

    def build(self):
        loss = original(self)

        def broken(output, target):
            # Validation has a step of its own in each epoch.
            if torch.is_grad_enabled():
                calls.append(0)
            return loss(output, target) * (float("nan") if len(calls) > steps else 1.0)

        return broken

    monkeypatch.setattr(Trainer, "_build_loss", build)
    epoch = steps // 2 + 1
    message = rf"run: the loss of nnU-Net is not finite, .* in epoch {epoch}: .*{kept}.*segmenter\.learning_rate"
    with pytest.raises(InputError, match=message):
        train_on([], "T1", segmenter_config(), folder)
    assert len(calls) == steps + 1
    assert len(list(folder.rglob(LATEST))) == (steps > 2)


def test_weights_that_the_last_step_has_broken_are_not_kept(planned, monkeypatch):
    folder = planned("run")
    original = Trainer.train_step

    def step(self, batch):
        result = original(self, batch)
        if self.current_epoch == 1:
            torch.nn.init.constant_(next(self.network.parameters()), float("inf"))
        return result

    monkeypatch.setattr(Trainer, "train_step", step)
    with pytest.raises(InputError, match="not finite, or absurdly large, in epoch 2"):
        train_on([], "T1", segmenter_config(iterations_per_epoch=1), folder)
    (latest,) = folder.rglob(LATEST)
    with torch.serialization.safe_globals(NUMBERS):
        assert torch.load(latest, weights_only=True)["current_epoch"] == 1


def test_planning_anew_takes_nothing_over_from_the_plans_before(planned, monkeypatch):
    folder = planned("run")
    (plans,) = folder.glob("nnunet/preprocessed/*/nnUNetPlans.json")
    plans.write_text(plans.read_text().replace("nnUNetPlans_3d", "nnUNetPlans_4d"))

    def plan(config, cases):
        assert not plans.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(segmenter, "write_dataset", lambda *arguments: None)
    monkeypatch.setattr(segmenter, "plan", plan)
    with pytest.raises(KeyboardInterrupt):
        train_on([], "T1", segmenter_config(), folder)


def test_random_numbers_go_on_where_they_were():
    seed_all(1, 2)
    state = global_state()
    first = np.random.random(), torch.rand(1).item()
    set_global_state(state)
    assert (np.random.random(), torch.rand(1).item()) == first
    seed_all(1, 3)
    assert np.random.random() != first[0]


def test_workers_share_batches_by_number():
    def loader():
        while True:
            yield float(np.random.random())

    alone = NumberedBatches(loader(), (7,), 3, 1)
    expected = [next(alone) for _ in range(4)]
    shares = []
    for worker in range(2):
        share = NumberedBatches(loader(), (7,), 3, 2)
        share.set_thread_id(worker)
        shares.append(share)
    assert [next(shares[number % 2]) for number in range(4)] == expected
    assert len(set(expected)) == 4


def test_cases_are_sampled_by_their_weights_and_evenly_where_all_weigh_the_same():
    # 0.5 of 1 + 0.5 + 0.5.
    assert sampling_probabilities(["a", "b", "c"], {"b": 0.5, "c": 0.5}).tolist() == [0.5, 0.25, 0.25]
    assert sampling_probabilities(["a", "b"], {"other": 0.5}) is None
    assert sampling_probabilities(["a"], {"a": 0.5}) is None


def test_folds_that_are_made_apart_in_any_order_have_the_weights_of_one_process(planned):
    config = segmenter_config(folds=(0, 1), epochs=1)
    together, apart = planned("together", 5), planned("apart", 5)
    train_on([], "T1", config, together)
    for part in ("plan", "fold_1", "fold_0"):
        make_part_on(part, [], "T1", config, apart)
    written = (apart / "fold_0.safetensors").stat().st_mtime_ns
    assert len(train_on([], "T1", config, apart)) == 4
    assert (apart / "fold_0.safetensors").stat().st_mtime_ns == written
    assert [weights(apart, fold) for fold in (0, 1)] == [weights(together, fold) for fold in (0, 1)]


def test_fold_whose_shared_part_is_missing_is_refused(tmp_path):
    with pytest.raises(InputError, match="make the part 'plan' first"):
        make_part_on("fold_0", [], "T1", segmenter_config(folds=(0, 1)), tmp_path)
