"""Where the tests of GPUs run: on a GPU for `pytest -m gpu`, and on the CPU in every other run, which keeps them sound.

On the CPU a test compares the device with itself: what it asserts of a GPU holds there as well, at a tiny size.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from training.config import CycleGANConfig, Pix2PixConfig, SinGANConfig
from vestibule.networks import GeneratorConfig

GENERATOR = GeneratorConfig("resnet", width=4, blocks=1)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device under test."""
    if request.param == "cuda":
        require_gpu()
    return torch.device(request.param)


@pytest.fixture
def gpu() -> torch.device:
    """A GPU, for what has no counterpart on a CPU."""
    require_gpu()
    return torch.device("cuda")


def require_gpu() -> None:
    """Skip the test where there is no GPU; `make gpu` refuses to run there at all."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.fixture(autouse=True)
def plain_float32() -> Iterator[None]:
    """Float32 without TF32, whose 10 bits of mantissa would hide a fault of ours."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def cyclegan() -> CycleGANConfig:
    """The smallest CycleGAN, with a pool that is full after two steps."""
    return CycleGANConfig(generator=GENERATOR, discriminator_width=4, discriminator_layers=1, iterations=8, pool_size=4)


@pytest.fixture
def pix2pix() -> Pix2PixConfig:
    """The smallest pix2pix."""
    return Pix2PixConfig(generator=GENERATOR, discriminator_width=4, discriminator_layers=1, iterations=8)


@pytest.fixture
def singan() -> SinGANConfig:
    """The smallest cascade."""
    return SinGANConfig(kind="singan", coarsest_px=16, scale_factor=0.5, width=4, iterations=30)
