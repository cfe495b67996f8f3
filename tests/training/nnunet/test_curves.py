"""nnU-Net's curves are drawn in good time, and not after every short epoch."""

import pytest
from nnunetv2.training.logging.nnunet_logger import MetaLogger

from tests.planned_segmenter import segmenter_config, write_planned
from training.nnunet import trainer
from training.stages.segmenter import train_on


@pytest.mark.parametrize(("every_s", "epochs"), [(3600.0, [1, 4]), (0.0, [1, 2, 3, 4])])
def test_curves_are_drawn_at_intervals_and_after_the_last_epoch(tiny_bundle, tmp_path, monkeypatch, every_s, epochs):
    drawn = []

    def draw(self, folder):
        losses = self.get_checkpoint()["train_losses"]
        drawn.append(len(losses))

    monkeypatch.setattr(MetaLogger, "plot_progress_png", draw)
    monkeypatch.setattr(trainer, "CURVES_EVERY_S", every_s)
    write_planned(tmp_path, tiny_bundle)
    train_on([], "T1", segmenter_config(iterations_per_epoch=1), tmp_path)
    assert drawn == epochs
