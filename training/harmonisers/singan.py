"""SinGAN as a harmoniser: a cascade of generators that has learnt the patches of one slice. Shaham et al. 2019.

For float, single-channel slices of any size. Any image can be injected at a scale: what comes out has the image's
structure above that scale and the training slice's texture below it. The levels are these scales.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from training.config import HarmoniserSettings, SinGANConfig
from training.data.reference_slice import Reference
from training.gan.checkpoint import save_weights
from training.gan.devices import convolution_type, subnormals_as_zero
from training.harmonisers.base import RANDOM_SAMPLE, Harmoniser
from training.harmonisers.singan_network import SinGAN, channels, pyramid_sizes
from training.harmonisers.singan_training import place, train_scales
from vestibule.device import pick_device
from vestibule.errors import InputError
from vestibule.files import read_json, write_json
from vestibule.tensors import read_tensors

WEIGHTS, RECORD = "cascade.safetensors", "cascade.json"
"""Files of a saved SinGAN."""


class SinGANHarmoniser(Harmoniser):
    """A trained SinGAN, ready for injection."""

    Settings: ClassVar[type[HarmoniserSettings]] = SinGANConfig

    def __init__(self, model: SinGAN, reconstruction_rmse: float | None = None) -> None:
        """A harmoniser of a trained cascade; `reconstruction_rmse` is that of its slice, on [0, 1]."""
        self.model = model
        self.reconstruction_rmse = reconstruction_rmse

    @property
    def levels(self) -> range:
        """The scales n* that an image can be injected at; the coarsest, 0, knows noise alone."""
        return range(1, self.model.scales)

    @classmethod
    def planned_levels(cls, settings: SinGANConfig, size_yx: tuple[int, int]) -> range | None:
        """One for each step of the pyramid. Raises InputError for a slice smaller than what the coarsest scale sees."""
        return range(1, len(pyramid_sizes(size_yx, settings)))

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.model.amplitudes.device

    @classmethod
    @subnormals_as_zero()
    def fit(
        cls, reference: Reference, settings: SinGANConfig, folder: Path, seed: int, precision: str = "auto"
    ) -> SinGANHarmoniser:
        """Train all scales on the reference slice; a scale that an earlier try has finished is taken from `folder`.

        Args:
            reference: The slice to learn.
            settings: Scales, networks and schedule.
            folder: For losses and checkpoints.
            seed: Of weights and noise.
            precision: Arithmetic of the convolutions, as in the configuration.

        Returns:
            The trained SinGAN.

        Raises:
            InputError: The slice is smaller than what the coarsest scale sees.
        """
        torch.manual_seed(seed)
        device = pick_device()
        dtype = convolution_type(precision, device)
        sizes = pyramid_sizes(reference.image.shape, settings)
        widths = channels(len(sizes), settings)
        model = SinGAN(sizes, widths, settings.layers)
        place(model, device, dtype)

        image = torch.from_numpy(reference.image)
        image = image[None, None].to(device)  # (1, 1, Y, X)
        train_scales(model, image, settings, folder, dtype)

        with torch.no_grad():
            reconstructed = model.reconstruct(model.scales - 1)
        difference = reconstructed - image
        rmse = float(difference.square().mean().sqrt())
        # Intensities are in [-1, 1]; on [0, 1] an error is half as large.
        return cls(model, rmse / 2)

    def apply(self, slices: np.ndarray, level: int, generator: torch.Generator | None = None) -> np.ndarray:
        """`slices` (B, Y, X) injected at the scale `level`; with noise of the trained amplitudes by `generator`."""
        self.require_level(level)
        # A box that was cut out of a volume is not contiguous, and torch would keep its strides.
        contiguous = np.ascontiguousarray(slices)
        batch = torch.from_numpy(contiguous)[:, None]  # (B, 1, Y, X)
        batch = batch.to(self.device)
        injected = self.model.inject(batch, level, generator)
        return injected[:, 0].cpu().numpy()

    def save(self, folder: Path) -> list[Path]:
        """Write weights and architecture to `folder`; returns the files' paths."""
        weights = folder / WEIGHTS
        save_weights(self.model, weights)
        record = {
            "sizes": self.model.sizes,
            "widths": self.model.widths,
            "layers": self.model.layers,
            "reconstruction_rmse": self.reconstruction_rmse,
        }
        record_path = folder / RECORD
        write_json(record_path, record)
        return [weights, record_path]

    @classmethod
    def load(cls, folder: Path) -> SinGANHarmoniser:
        """The SinGAN that `save` wrote to `folder`. Raises InputError where there is none."""
        record = read_json(folder / RECORD)
        if not record:
            raise InputError(f"{folder / RECORD}: is missing or broken; delete the folder and train the SinGAN again")
        sizes = [(rows, columns) for rows, columns in record["sizes"]]
        model = SinGAN(sizes, record["widths"], record["layers"])

        weights = read_tensors(folder / WEIGHTS)
        model.load_state_dict(weights)
        model.to(pick_device())
        model.eval()
        return cls(model, record["reconstruction_rmse"])

    @torch.no_grad()
    def previews(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """The slice reconstructed from the fixed noise, injected at each scale, and a random sample."""
        finest = self.model.scales - 1
        reconstructed = self.model.reconstruct(finest)
        shown = {"reconstructed": _as_slice(reconstructed)}
        for scale in self.levels:
            (injected,) = self.apply(image[None], scale)
            shown[f"injected at {scale}"] = injected
        sample = self.model.sample(1, finest)
        shown[RANDOM_SAMPLE] = _as_slice(sample)
        return shown


def _as_slice(image: torch.Tensor) -> np.ndarray:
    """The slice (Y, X) in `image` (1, 1, Y, X)."""
    return image[0, 0].cpu().numpy()
