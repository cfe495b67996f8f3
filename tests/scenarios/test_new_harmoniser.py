"""Another harmoniser in SinGAN's place: one class and one entry of the table, and the whole method works with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter

from training.config import HarmoniserSettings, read_config
from training.data.slices import read_cases
from training.diagnostics.choose_scale import sweep
from training.harmoniser_table import HARMONISERS
from training.harmonisers.base import Harmoniser
from training.runner import run_stage
from training.stage_table import CYCLEGAN, EXPORT, HARMONISER, PIX2PIX, PREPARE, SEGMENTER, TRANSFER
from vestibule.errors import InputError
from vestibule.files import read_json, write_json
from vestibule.weights import open_bundle

SIZE_ZYX = (5, 32, 32)
CONFIG = """
name: blurred
intended_use: phantom
edition: 2022
arms: [oneshot]
precision: 32-true
prepare: {spacing_yx_mm: [1.0, 1.0], size_yx: [32, 32]}
cyclegan: &tiny
  generator: {architecture: resnet, width: 4, blocks: 1}
  discriminator_width: 4
  discriminator_layers: 1
  iterations: 2
pix2pix: *tiny
reference: {min_tumour_px: 5, crop_px: 24}
harmoniser: {kind: blur, sigmas_px: [2.0, 1.0]}
transfer: {level: 1, rim_px: 0.0, edge_px: 0.0}
segmenter: {folds: []}
"""


@dataclass(frozen=True)
class BlurSettings(HarmoniserSettings):
    """How much the blur takes away at each level."""

    kind: str = "blur"
    sigmas_px: tuple[float, ...] = (1.0,)


class BlurHarmoniser(Harmoniser):
    """Blurs slices and gives them the mean of the reference: the simplest thing that has levels."""

    Settings = BlurSettings

    def __init__(self, mean, sigmas_px):
        self.mean, self.sigmas_px = mean, sigmas_px

    @classmethod
    def fit(cls, reference, settings, folder, seed, precision="auto"):
        return cls(float(reference.image.mean()), settings.sigmas_px)

    @property
    def levels(self):
        return range(len(self.sigmas_px))

    def apply(self, slices, level, generator=None):
        self.require_level(level)
        sigma = self.sigmas_px[level]
        blurred = gaussian_filter(slices, (0, sigma, sigma))
        return np.clip(blurred + self.mean - blurred.mean(), -1, 1).astype(np.float32)

    def save(self, folder):
        write_json(folder / "blur.json", {"mean": self.mean, "sigmas_px": self.sigmas_px})
        return [folder / "blur.json"]

    @classmethod
    def load(cls, folder):
        return cls(**read_json(folder / "blur.json"))


def write_prepared(run_dir: Path) -> None:
    """What `prepare` leaves of two cases a domain: a bright head with a blob as tumour."""
    generator = np.random.default_rng(0)
    _, y, x = np.mgrid[tuple(slice(n) for n in SIZE_ZYX)]
    head = (y - 15.5) ** 2 + (x - 15.5) ** 2 < 12**2
    labels = (y - 14) ** 2 + (x - 10) ** 2 < 9
    entries = []
    for domain, tumour in (("source", 0.8), ("target", -0.2)):
        (run_dir / "prepare" / domain).mkdir(parents=True)
        for name in (f"{domain}/case_0", f"{domain}/case_1"):
            image = np.where(labels, tumour, np.where(head, 0.4, -1.0)) + generator.normal(0, 0.05, SIZE_ZYX)
            np.save(run_dir / "prepare" / f"{name}.npy", image.clip(-1, 1).astype(np.float16))
            np.save(run_dir / "prepare" / f"{name}_label.npy", labels.astype(np.uint8))
            entry = {"case": Path(name).name, "domain": domain, "site": "ldn", "spacing_zyx": [1.5, 1.0, 1.0]}
            entry |= {"image": f"{name}.npy", "label": f"{name}_label.npy", "foreground": [0.4] * len(labels)}
            entries.append(entry | {"tumour_voxels": labels.sum(axis=(1, 2)).tolist()})
    write_json(run_dir / "prepare" / "index.json", {"cases": entries})
    finish(run_dir, PREPARE)


def finish(run_dir: Path, stage) -> None:
    """Mark a stage as done."""
    record = {"config": {}, "outputs": {}, "fingerprint": "", "seconds": 0.0, "code_version": ""}
    write_json(stage.folder(run_dir) / "stage.json", record)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A configuration that names the new kind, and a run with all that the harmoniser needs."""
    monkeypatch.setitem(HARMONISERS, "blur", f"{__name__}:BlurHarmoniser")
    (tmp_path / "blur.yaml").write_text(CONFIG)
    config = read_config(tmp_path / "blur.yaml")
    write_prepared(tmp_path)
    assert run_stage(CYCLEGAN, config, tmp_path)
    return config, tmp_path


def test_new_harmoniser_goes_through_transfer_sweep_and_export(run):
    config, run_dir = run
    assert config.harmoniser == BlurSettings(sigmas_px=(2.0, 1.0))
    assert run_stage(HARMONISER, config, run_dir)
    assert not run_stage(HARMONISER, config, run_dir)
    assert (run_dir / "harmoniser" / "samples.png").stat().st_size > 1000

    assert run_stage(TRANSFER, config, run_dir)
    for case in read_cases(run_dir, "source", TRANSFER):
        tumour = np.asarray(case.labels) == 1
        # Within the mask all is as bright as the reference is in the mean, since the blur makes it so.
        assert float(case.image[tumour].std()) < 0.2

    record, sheet = sweep(config, run_dir)
    assert [row["level"] for row in read_json(record)["levels"]] == [None, 0, 1]
    assert sheet.stat().st_size > 5000

    assert run_stage(PIX2PIX, config, run_dir)
    SEGMENTER.folder(run_dir).mkdir()
    save_file({"w": torch.ones(1)}, SEGMENTER.folder(run_dir) / "fold_all.safetensors")
    for name in ("plans", "dataset"):
        write_json(SEGMENTER.folder(run_dir) / f"{name}.json", {})
    finish(run_dir, SEGMENTER)
    assert run_stage(EXPORT, config, run_dir)
    provenance = open_bundle(run_dir / "export" / "bundle").manifest["provenance"]
    assert provenance["config"]["harmoniser"] == {"kind": "blur", "sigmas_px": [2.0, 1.0]}
    assert provenance["reference_slice"]["chosen"] == "sampled"


def test_its_settings_and_levels_are_checked_like_any_other(run):
    config, run_dir = run
    (run_dir / "wrong.yaml").write_text(CONFIG.replace("sigmas_px", "sigma_px"))
    with pytest.raises(InputError, match=r"unknown key 'harmoniser.sigma_px'; did you mean 'sigmas_px'"):
        read_config(run_dir / "wrong.yaml")
    (run_dir / "beyond.yaml").write_text(CONFIG.replace("level: 1", "level: 2"))
    assert run_stage(HARMONISER, config, run_dir)
    with pytest.raises(InputError, match=r"transfer.level must be from 0 to 1, got 2"):
        run_stage(TRANSFER, read_config(run_dir / "beyond.yaml"), run_dir)
