"""Tiny downloads in the challenge's layout, and the command line in this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from training.commands.train import train
from vestibule.editions import get_edition
from vestibule.volume import Geometry, Volume, write_volume

EDITION = get_edition(2021)
GEOMETRY = Geometry((8, 40, 40), (3.0, 2.0, 2.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


@pytest.fixture
def download(tmp_path: Path) -> Path:
    """Two labelled T1 cases and two T2 cases of the edition of 2021."""
    generator = np.random.default_rng(0)
    labels = np.zeros(GEOMETRY.size_zyx, np.uint8)
    labels[3:5, 16:22, 10:16] = 1
    folder = tmp_path / "download"
    for number in range(2):
        source, target = EDITION.case_name("ldn", number), EDITION.case_name("ldn", 100 + number)
        image = Volume(generator.random(GEOMETRY.size_zyx, np.float32), GEOMETRY)
        write_volume(folder / EDITION.source_folder / EDITION.source_name(source), image)
        write_volume(folder / EDITION.source_folder / EDITION.label_name(source), Volume(labels, GEOMETRY))
        write_volume(folder / EDITION.target_folder / EDITION.target_name(target), image)
    return folder


@pytest.fixture
def vestibule_train():
    """Call `vestibule train` with arguments; its exit code and what it said."""

    def call(*arguments):
        finished = CliRunner().invoke(train, [str(argument) for argument in arguments])
        return finished.exit_code, finished.output + str(finished.exception or "")

    return call
