import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from training.gan.health import DiscriminatorWatch
from training.gan.loop import AdversarialModel, fit
from training.status import warnings_of

# Losses of discriminators in two trainings on phantoms that went well, configs/phantom.yaml with ResNet generators at
# commits 8571dee (CycleGAN) and a34b09f (pix2pix): a row each 50 iterations.
# fmt: off
HEALTHY = {
    "discriminator_a": [
        0.7103, 0.2167, 0.2215, 0.2274, 0.2225, 0.2202, 0.2136, 0.2078, 0.2175, 0.2254, 0.2174, 0.2161,
        0.2423, 0.2139, 0.1984, 0.2042, 0.1851, 0.1914, 0.1915, 0.1968, 0.1896, 0.1982, 0.1950, 0.1949,
    ],
    "discriminator_b": [
        0.6640, 0.2367, 0.2265, 0.2298, 0.2359, 0.2171, 0.2317, 0.2513, 0.2286, 0.2273, 0.2351, 0.2423,
        0.2169, 0.2283, 0.2173, 0.2218, 0.2105, 0.1985, 0.1932, 0.1966, 0.1970, 0.2147, 0.2183, 0.2127,
    ],
    "discriminator": [
        0.8100, 0.3526, 0.3033, 0.2907, 0.2855, 0.2961, 0.2687, 0.2833, 0.2775, 0.2707, 0.2609, 0.2256,
        0.2271, 0.2065, 0.1923, 0.1693, 0.1656, 0.1516, 0.1449, 0.1415,
    ],
}
# fmt: on


def warnings_on(rows, name="discriminator"):
    watch = DiscriminatorWatch((name, "cycle"))
    told = []
    for value in rows:
        told += watch.see({name: value, "cycle": 0.0})
    return told


@pytest.mark.parametrize("name", HEALTHY)
def test_trainings_that_went_well_are_not_warned_of(name):
    assert warnings_on(HEALTHY[name], name) == []


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_nor_are_they_where_their_losses_are_of_another_size(factor):
    assert warnings_on([factor * value for value in HEALTHY["discriminator"]]) == []


def test_discriminator_that_tells_every_fake_is_warned_of_once():
    rows = [0.3, 0.1, 0.009, 0.004, 0.006, 0.002]
    assert warnings_on(rows) == []
    (told,) = warnings_on([*rows, 0.001, 0.0, 0.0])
    assert "'discriminator' has been below 0.01 for 5 rows" in told


def test_discriminator_that_answers_the_same_to_all_is_warned_of():
    rows = [0.31, 0.28, 0.25, 0.2501, 0.25, 0.2502]
    assert warnings_on(rows) == []
    (told,) = warnings_on([*rows, 0.25])
    assert "'discriminator' has been 0.2501 for 5 rows: the discriminator answers the same" in told


class Collapsed(AdversarialModel):
    """A model whose discriminator learns nothing from some iteration on."""

    losses = ("discriminator",)

    def __init__(self, last_lesson):
        self.config = SimpleNamespace(iterations=20, sample_every=20, checkpoint_every=20)
        self.last_lesson = last_lesson
        self.steps = 0

    def step(self, batch):
        self.steps += 1
        learnt = min(self.steps, self.last_lesson)
        return {"discriminator": torch.tensor(1.0 / learnt)}

    def sheet(self, batch):
        return {"noise": torch.zeros(1, 1, 4, 4)}

    def parts(self):
        return {}


@pytest.mark.parametrize(("last_lesson", "warned"), [(6, 1), (20, 0)])
def test_collapse_is_told_on_stderr_and_in_the_run_while_the_training_goes_on(tmp_path, caplog, last_lesson, warned):
    caplog.set_level(logging.WARNING)
    model = Collapsed(last_lesson)
    fit(model, lambda: (torch.zeros(1),), np.random.default_rng(0), tmp_path / "cyclegan")
    assert model.steps == 20
    told = warnings_of(tmp_path, "cyclegan")
    assert len(told) == warned
    assert len([record for record in caplog.records if "discriminator" in record.getMessage()]) == warned
    if warned:
        assert "at iteration 10; look at" in told[0]
