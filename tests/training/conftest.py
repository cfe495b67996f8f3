"""A prepared run of tiny cases, made without images or phantoms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.config import (
    CycleGANConfig,
    Pix2PixConfig,
    ReferenceConfig,
    RunConfig,
    SamplingConfig,
    SinGANConfig,
    TransferConfig,
)
from vestibule.files import write_json
from vestibule.networks import GeneratorConfig
from vestibule.preprocessing import PreprocessingConfig

SIZE_ZYX = (6, 32, 32)


def draw_case(generator: np.random.Generator, domain: str) -> tuple[np.ndarray, np.ndarray]:
    """A bright disc of a head with a blob as tumour, float16 in [-1, 1] and labels."""
    _, y, x = np.mgrid[tuple(slice(n) for n in SIZE_ZYX)].astype(float)
    head = (y - 15.5) ** 2 + (x - 15.5) ** 2 < 12**2
    labels = ((y - 14) ** 2 + (x - 10) ** 2 < 9) & (np.arange(SIZE_ZYX[0]) % 5 > 0)[:, None, None]
    image = np.where(head, 0.2 if domain == "source" else 0.5, -1.0) + generator.normal(0, 0.05, SIZE_ZYX)
    image = np.where(labels, 0.8 if domain == "source" else -0.2, image)
    return np.clip(image, -1, 1).astype(np.float16), labels.astype(np.uint8)


def write_prepared(
    run_dir: Path, cases: int = 3, stage: str = "prepare", domains: tuple = ("source", "target")
) -> None:
    """Write what the stage `prepare` would leave of `cases` a domain."""
    generator, entries = np.random.default_rng(0), []
    for domain in domains:
        (run_dir / stage / domain).mkdir(parents=True, exist_ok=True)
        for number in range(cases):
            image, labels = draw_case(generator, domain)
            name = f"{domain}/case_{number}"
            np.save(run_dir / stage / f"{name}.npy", image)
            np.save(run_dir / stage / f"{name}_label.npy", labels)
            entries.append(
                {
                    "case": f"case_{number}",
                    "domain": domain,
                    "site": "ldn" if number else "etz",
                    "image": f"{name}.npy",
                    "label": f"{name}_label.npy",
                    "spacing_zyx": [1.5, 1.0, 1.0],
                    "foreground": (image > -0.9).mean(axis=(1, 2)).tolist(),
                    "tumour_voxels": labels.sum(axis=(1, 2)).tolist(),
                }
            )
    write_json(run_dir / stage / "index.json", {"cases": entries})


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run whose stage `prepare` is there; the folders of the GAN stages are empty."""
    write_prepared(tmp_path)
    for stage in ("cyclegan", "harmoniser", "transfer", "pix2pix"):
        (tmp_path / stage).mkdir()
    return tmp_path


@pytest.fixture
def config() -> RunConfig:
    """A configuration of the smallest networks and a handful of iterations."""
    generator = GeneratorConfig("resnet", width=4, blocks=1)
    common = {"discriminator_width": 4, "discriminator_layers": 1, "sampling": SamplingConfig(batch_size=2)}
    rhythm = {"iterations": 4, "checkpoint_every": 2, "sample_every": 4}
    return RunConfig(
        name="tiny",
        intended_use="phantom",
        edition=2022,
        precision="32-true",
        prepare=PreprocessingConfig((1.0, 1.0), (32, 32), centre="bright"),
        cyclegan=CycleGANConfig(generator=generator, pool_size=3, **common, **rhythm),
        reference=ReferenceConfig(crop_px=24, min_tumour_px=5),
        harmoniser=SinGANConfig(coarsest_px=12, width=8, layers=3, iterations=6),
        transfer=TransferConfig(intensity="reference", level=1),
        pix2pix=Pix2PixConfig(generator=generator, **common, **rhythm),
    )
