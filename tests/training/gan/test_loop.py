from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from training.gan import loop
from training.gan.checkpoint import TrainingState
from training.gan.loop import AdversarialModel, fit
from vestibule.errors import InputError


class Counter(AdversarialModel):
    """A model whose loss is the batch and whose only part counts its steps."""

    losses = ("loss",)
    measures = ("interval",)

    def __init__(self, iterations: int, **rhythm: int) -> None:
        self.config = SimpleNamespace(iterations=iterations, **{"sample_every": 3, "checkpoint_every": 2, **rhythm})
        self.count = torch.nn.Linear(1, 1)
        self.steps: list[float] = []

    def step(self, batch):
        self.steps.append(float(batch))
        return {"loss": batch}

    def measure(self, interval, batch):
        return {"interval": float(interval)}

    def sheet(self, batch):
        return {"noise": torch.zeros(6, 1, 4, 4)}

    def parts(self):
        return {"count": self.count}


def numbers(generator):
    return lambda: (torch.tensor(generator.random()),)


def train(folder, model, seed=0):
    generator = np.random.default_rng(seed)
    fit(model, numbers(generator), generator, folder)
    return model


def columns(folder):
    rows = [line.split(",") for line in (folder / "losses.csv").read_text().splitlines()]
    return rows[0], [[float(value) for value in row] for row in rows[1:]]


def test_rows_hold_the_means_of_their_intervals_and_what_is_measured(tmp_path):
    model = train(tmp_path, Counter(60))
    header, rows = columns(tmp_path)
    assert header == ["iteration", "seconds", "loss", "interval"]
    # A twentieth of 60 iterations.
    assert [row[0] for row in rows] == list(range(3, 61, 3))
    assert [row[3] for row in rows] == [3.0] * 20
    expected = np.array(model.steps).reshape(20, 3).mean(axis=1)
    np.testing.assert_allclose([row[2] for row in rows], expected, rtol=1e-5)


def test_long_training_has_a_row_every_fifty_iterations(tmp_path):
    train(tmp_path, Counter(1020, sample_every=1020, checkpoint_every=1020))
    _, rows = columns(tmp_path)
    assert [row[0] for row in rows] == list(range(50, 1021, 50))


def test_sheets_and_states_are_left_at_intervals_and_at_the_end(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(TrainingState, "save", lambda self: saved.append(self.iteration))
    train(tmp_path, Counter(7))
    assert saved == [2, 4, 6, 7]
    assert sorted(path.stem for path in (tmp_path / "samples").iterdir()) == ["0000003", "0000006", "0000007"]


def test_stopped_training_goes_on_with_the_batch_that_would_have_come_next(tmp_path, monkeypatch):
    whole = train(tmp_path / "whole", Counter(60, checkpoint_every=10)).steps
    original = TrainingState.save

    def save_and_die(self):
        original(self)
        raise KeyboardInterrupt

    folder = tmp_path / "stopped"
    first = Counter(60, checkpoint_every=10)
    monkeypatch.setattr(TrainingState, "save", save_and_die)
    try:
        train(folder, first)
    except KeyboardInterrupt:
        monkeypatch.setattr(TrainingState, "save", original)
    second = train(folder, Counter(60, checkpoint_every=10), seed=99)
    assert first.steps + second.steps == whole
    # Row 12 is the mean of what was seen since the state was saved after iteration 10.
    _, rows = columns(folder)
    assert [row[0] for row in rows] == list(range(3, 61, 3))
    np.testing.assert_allclose(rows[3][2], np.mean(whole[10:12]), rtol=1e-5)


def test_loss_that_is_not_finite_stops_with_the_checkpoint_before_it(tmp_path):
    model = Counter(60, checkpoint_every=5)

    def batches():
        # The log's intervals end at 3, 6, 9 and so on; the state after 10 iterations would hold what 10 has broken.
        return (torch.tensor(float("nan") if len(model.steps) == 9 else 1.0),)

    with pytest.raises(
        InputError, match=r"the loss 'loss' is not finite, or absurdly large, at iteration 10: .*learning_rate"
    ):
        fit(model, batches, np.random.default_rng(0), tmp_path / "cyclegan")
    assert len(model.steps) == 10
    assert torch.load(tmp_path / "cyclegan/state.pt", weights_only=True)["iteration"] == 5


def test_loss_that_is_not_finite_stops_at_the_next_row_of_the_log(tmp_path):
    model = Counter(60, checkpoint_every=60)

    def batches():
        return (torch.tensor(float("inf") if len(model.steps) == 3 else 1.0),)

    with pytest.raises(InputError, match="cyclegan: the loss 'loss' is not finite, or absurdly large, at iteration 6"):
        fit(model, batches, np.random.default_rng(0), tmp_path / "cyclegan")
    assert (tmp_path / "cyclegan/losses.csv").read_text().splitlines()[-1].endswith("inf,3")


def test_weights_that_the_last_step_has_broken_are_not_kept(tmp_path):
    model = Counter(4, checkpoint_every=2)

    def batches():
        if len(model.steps) == 3:
            torch.nn.init.constant_(model.count.weight, float("nan"))
        return (torch.tensor(1.0),)

    with pytest.raises(InputError, match="pix2pix: count is not finite, or absurdly large, at iteration 4"):
        fit(model, batches, np.random.default_rng(0), tmp_path / "pix2pix")
    assert torch.load(tmp_path / "pix2pix/state.pt", weights_only=True)["iteration"] == 2


def test_losses_that_explode_stop_although_they_are_finite(tmp_path):
    model = Counter(60, checkpoint_every=60)

    def batches():
        return (torch.tensor(1e14 if len(model.steps) == 3 else 1.0),)

    with pytest.raises(InputError, match="the loss 'loss' is not finite, or absurdly large, at iteration 6"):
        fit(model, batches, np.random.default_rng(0), tmp_path / "cyclegan")


def test_a_sample_sheet_shows_what_a_column_differs_by_from_the_one_it_should_be_like(tmp_path, monkeypatch):
    class Returning(Counter):
        compared: ClassVar = {"back": "there"}

        def sheet(self, batch):
            there = torch.zeros(2, 1, 4, 4)
            return {"there": there, "other": there + 1, "back": there + 0.5}

    sheets = []
    monkeypatch.setattr(loop, "save_sheet", lambda path, columns: sheets.append(columns))
    train(tmp_path, Returning(3))
    (columns,) = sheets
    assert list(columns) == ["there", "other", "back", "back, less there"]
    assert [difference.rmse for difference in columns["back, less there"]] == [0.5, 0.5]
