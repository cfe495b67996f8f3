"""How much a stage will write, about, so that a disk that will not suffice is told before days of training.

Estimates from the configuration and from the sizes of the prepared volumes, on the large side of what stages were
measured to leave.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from training.config import CycleGANConfig, Pix2PixConfig, RunConfig, rounds_of, trainings_in
from training.stage_table import (
    AUGMENT,
    CYCLEGAN,
    DIRECT_SEGMENTER,
    PIX2PIX,
    PREPARE,
    SECOND_CYCLEGAN,
    SEGMENTER,
    SELF_TRAINING,
    SUPERVISED,
    SYNTHESIS,
    TRANSFER,
    Stage,
)
from vestibule.editions import get_edition
from vestibule.networks import build_generator

BYTES_A_WEIGHT = 12
"""Float32, with the two moments of Adam."""
STATES = 2
"""The checkpoint before stays until the next one is whole."""
PICTURES_AND_LOGS = 30_000_000
"""Sheets, losses, TensorBoard: bytes of a stage."""
NNUNET_COPIES = 4
"""What nnU-Net's raw and preprocessed float32 take, relative to the prepared float16."""
NNUNET_WEIGHTS = 31_000_000
"""Of nnU-Net's own choice of channels, whose first stage has 32."""
NNUNET_CHECKPOINTS = 4
"""The last, the best, the final one, and one that is being written."""


def expected_bytes(stage: Stage, config: RunConfig, run_dir: Path) -> int:
    """What a stage will write to its folder, bytes; 0 where nothing tells.

    Args:
        stage: A row of the table.
        config: The whole configuration.
        run_dir: Folder of the run, whose prepared volumes are looked at.
    """
    prepared = PREPARE.folder(run_dir)
    source = _bytes_in(prepared / "source")
    target = _bytes_in(prepared / "target")
    if stage not in ESTIMATES:
        return 0
    return PICTURES_AND_LOGS + ESTIMATES[stage](config, source, target)


def shortage(stage: Stage, config: RunConfig, run_dir: Path) -> str | None:
    """What to warn of where the disk will hardly hold what a stage writes; None where it will, or nothing tells."""
    expected = expected_bytes(stage, config, run_dir) - _bytes_in(stage.folder(run_dir))
    free = shutil.disk_usage(run_dir).free
    if expected <= free:
        return None
    return (
        f"will write about {expected / 1e9:.2g} GB, and the disk of {run_dir} has {free / 1e9:.2g} GB free; make room "
        "while it runs, or stop it and move the run to another disk"
    )


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _states(networks: Callable[[], list[nn.Module]]) -> int:
    """Bytes of the checkpoints of some networks, which are not made for it."""
    with torch.device("meta"):
        parameters = [parameter for network in networks() for parameter in network.parameters()]
    weights = sum(parameter.numel() for parameter in parameters)
    return STATES * BYTES_A_WEIGHT * weights


def _networks(settings: CycleGANConfig | Pix2PixConfig, pairs: int, inputs: int) -> list[nn.Module]:
    # Here, since MONAI takes seconds to import, and most stages have no such network.
    from training.gan.discriminators import PatchGAN

    networks: list[nn.Module] = []
    for _ in range(pairs):
        networks.append(build_generator(settings.generator))
        networks.append(PatchGAN(inputs, settings.discriminator_width, settings.discriminator_layers))
    return networks


def _cyclegan(config: RunConfig, source: int, target: int) -> int:
    return _states(lambda: _networks(config.cyclegan, pairs=2, inputs=1))


def _pix2pix(config: RunConfig, source: int, target: int) -> int:
    # The discriminator sees T2 and T1 together.
    return _states(lambda: _networks(config.pix2pix, pairs=1, inputs=2))


def _second_cyclegan(config: RunConfig, source: int, target: int) -> int:
    settings = config.second_cyclegan or config.cyclegan
    return _states(lambda: _networks(settings, pairs=2, inputs=1))


def _synthesis(config: RunConfig, source: int, target: int) -> int:
    looks = _looks(config.cyclegan, config)
    if config.second_cyclegan is not None:
        looks += _looks(config.second_cyclegan, config)
    return source * looks


def _looks(settings: CycleGANConfig, config: RunConfig) -> int:
    """How many synthetic T2 a translator makes of a T1."""
    if not settings.site_code:
        return 1
    return len(get_edition(config.edition).sites)


def _transfer(config: RunConfig, source: int, target: int) -> int:
    return source


def _augment(config: RunConfig, source: int, target: int) -> int:
    settings = config.augment
    tumours = max(len(settings.small_factors), len(settings.large_factors))
    copies = 1 + tumours + len(settings.cochlea_factors)
    return _synthesis(config, source, target) * copies


def _nnunet(config: RunConfig, images: int) -> int:
    settings = config.segmenter
    width = (settings.features_base or 32) / 32
    weights = int(NNUNET_WEIGHTS * width**2)
    folds = len(settings.folds) or 1
    return NNUNET_COPIES * images + folds * NNUNET_CHECKPOINTS * BYTES_A_WEIGHT * weights


def _segmenter(config: RunConfig, source: int, target: int) -> int:
    return _nnunet(config, source)


def _supervised(config: RunConfig, source: int, target: int) -> int:
    return _nnunet(config, target)


def _direct_segmenter(config: RunConfig, source: int, target: int) -> int:
    synthetic = _synthesis(config, source, target)
    rounds = rounds_of(config, DIRECT_SEGMENTER)
    if rounds is None:
        return _nnunet(config, synthetic)
    return trainings_in(rounds) * _nnunet(config, synthetic + target)


def _self_training(config: RunConfig, source: int, target: int) -> int:
    synthetic = _augment(config, source, target)
    rounds = rounds_of(config, SELF_TRAINING) or config.augment
    return trainings_in(rounds) * _nnunet(config, synthetic + target)


ESTIMATES: dict[Stage, Callable[[RunConfig, int, int], int]] = {
    CYCLEGAN: _cyclegan,
    SECOND_CYCLEGAN: _second_cyclegan,
    TRANSFER: _transfer,
    PIX2PIX: _pix2pix,
    SEGMENTER: _segmenter,
    SYNTHESIS: _synthesis,
    DIRECT_SEGMENTER: _direct_segmenter,
    AUGMENT: _augment,
    SELF_TRAINING: _self_training,
    SUPERVISED: _supervised,
}
"""Bytes by (configuration, bytes of the prepared source, of the prepared target); `prepare` has a check of its own."""
