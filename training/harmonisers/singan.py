"""SinGAN: a cascade of generators, coarse to fine, each of which learns the patches of one scale of one T2 slice.

Shaham et al. 2019, for float, single-channel slices of any size. After training, any image can be injected at a scale:
what comes out has the image's structure above that scale and the training slice's texture below it.
"""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import interpolate, pad

from training.config import RunConfig, SinGANConfig
from training.data.reference_slice import Reference, choose_references
from training.data.sheets import save_sheet
from training.gan.checkpoint import freeze, random_state, set_random_state
from training.gan.devices import convolution_type, layout_for, subnormals_as_zero
from training.gan.logs import LossLog
from training.harmonisers.critic_gradients import set_gradients
from training.parallel import side_by_side
from training.stage_table import HARMONISER
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.pipeline import pick_device
from vestibule.progress import track

SETTLING_FROM = 0.8
"""Share of a scale's iterations after which the rate falls to a tenth and the generator's batch norm stands still."""
LOSSES = ("scale", "wasserstein", "penalty", "adversarial", "reconstruction")


class PatchStack(nn.Module):
    """`layers` 3 x 3 convolutions without padding, batch-normalised LeakyReLU between: sees `2 * layers + 1` pixels."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        body: list[nn.Module] = []
        for layer in range(layers - 1):
            body += [nn.Conv2d(1 if layer == 0 else width, width, 3), nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*body, nn.Conv2d(width, 1, 3))
        for module in self.layers:
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layers(image)


class ScaleGenerator(PatchStack):
    """G_n: (noise, image of the coarser scale), both (B, 1, Y, X) -> image (B, 1, Y, X). Shaham et al. 2019, eq. 2."""

    def forward(self, noise: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        margin = (len(self.layers) + 2) // 3
        return previous + torch.tanh(self.layers(pad(noise + previous, [margin] * 4)))


class SinGAN(nn.Module):
    """The trained cascade: sizes, channels, noise amplitudes and generators of all scales, coarsest first."""

    def __init__(self, sizes: list[tuple[int, int]], widths: list[int], layers: int) -> None:
        super().__init__()
        self.sizes, self.widths = sizes, widths
        self.generators = nn.ModuleList(ScaleGenerator(width, layers) for width in widths)
        self.register_buffer("amplitudes", torch.zeros(len(sizes)))
        self.register_buffer("fixed_noise", torch.zeros(1, 1, *sizes[0]))

    @property
    def scales(self) -> int:
        """Number of scales."""
        return len(self.sizes)

    def size_at(self, scale: int, full_yx: tuple[int, int]) -> tuple[int, int]:
        """Size at `scale` of an image that has `full_yx` pixels at the finest."""
        return tuple(
            max(1, round(full * size / finest))
            for full, size, finest in zip(full_yx, self.sizes[scale], self.sizes[-1], strict=True)
        )

    def sample(self, count: int, upto: int, generator: torch.Generator | None = None, start: int = 0) -> torch.Tensor:
        """Random images of the scale `upto`, (`count`, 1, Y, X).

        Scales below `start` give the training slice back: what samples share grows with it. Shaham et al. 2019, fig. 8.
        """
        known = self.reconstruct(start - 1) if start else torch.zeros_like(self.fixed_noise)
        image = known.expand(count, -1, -1, -1)
        for scale in range(start, upto + 1):
            image = resize(image, self.sizes[scale])
            image = self.generators[scale](self._noise(image, scale, generator), image)
        return image

    def reconstruct(self, upto: int) -> torch.Tensor:
        """The training slice as the scales up to `upto` give it back from the fixed noise, (1, 1, Y, X)."""
        image = torch.zeros_like(self.fixed_noise)
        for scale in range(upto + 1):
            image = resize(image, self.sizes[scale])
            noise = self.fixed_noise * self.amplitudes[0] if scale == 0 else torch.zeros_like(image)
            image = self.generators[scale](noise, image)
        return image

    @torch.no_grad()
    def inject(self, images: torch.Tensor, scale: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """`images` (B, 1, Y, X) in [-1, 1] through G_scale, ..., G_N, of the same shape and range.

        They enter with the blur of what the next coarser scale would hand on; noise of the trained amplitudes is
        added where `generator` is given. Raises ValueError for a scale that the model does not have, and for 0, whose
        generator has seen nothing but noise.
        """
        if not 1 <= scale < self.scales:
            raise ValueError(f"injection scale must be from 1 to {self.scales - 1}, got {scale}")
        full = tuple(images.shape[-2:])
        image = resize(images, self.size_at(scale - 1, full))
        for level in range(scale, self.scales):
            image = resize(image, self.size_at(level, full))
            noise = self._noise(image, level, generator) if generator else torch.zeros_like(image)
            image = self.generators[level](noise, image)
        return image.clamp(-1, 1)

    def _noise(self, like: torch.Tensor, scale: int, generator: torch.Generator | None) -> torch.Tensor:
        if generator is None:
            return self.amplitudes[scale] * torch.randn_like(like)
        return self.amplitudes[scale] * torch.randn(like.shape, generator=generator).to(like.device)


def resize(image: torch.Tensor, size_yx: tuple[int, int]) -> torch.Tensor:
    """Bicubic with an antialiasing filter; the image itself where it has that size."""
    if tuple(image.shape[-2:]) == tuple(size_yx):
        return image
    return interpolate(image, size=size_yx, mode="bicubic", antialias=True, align_corners=False)


def pyramid_sizes(full_yx: tuple[int, int], config: SinGANConfig) -> list[tuple[int, int]]:
    """Sizes of all scales, coarsest first: the shorter side starts at `coarsest_px` and grows by about 1/factor.

    The factor is adjusted so that whole steps lead from the coarsest to the full size. Shaham et al. 2019, suppl.
    Raises InputError for an image that is smaller than what the coarsest scale sees.
    """
    shorter = min(full_yx)
    receptive = 2 * config.layers + 1
    if shorter < receptive:
        raise InputError(
            f"the reference slice is {full_yx} px; the coarsest scale needs at least {receptive} px a side"
        )
    coarsest = min(config.coarsest_px, shorter)
    steps = max(0, math.ceil(math.log(coarsest / shorter) / math.log(config.scale_factor) - 1e-9))
    factor = (coarsest / shorter) ** (1 / steps) if steps else 1.0
    return [tuple(round(n * factor ** (steps - scale)) for n in full_yx) for scale in range(steps + 1)]


def channels(scales: int, config: SinGANConfig) -> list[int]:
    """Channels of every scale, coarsest first: doubled every four scales up to `max_width`. Shaham et al. 2019."""
    most = config.max_width or config.width
    return [min(config.width << scale // 4, most) for scale in range(scales)]


def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train a cascade on each reference slice, side by side; leaves the first in the stage's folder."""
    folder = HARMONISER.folder(run_dir)
    jobs = [
        (
            *(config.harmoniser, reference, folder / f"reference_{n}" if n else folder),
            *(config.seed + 100_003 * n, config.precision),
        )
        for n, reference in enumerate(choose_references(config, run_dir))
    ]
    return [path for paths in side_by_side(train_cascade, jobs) for path in paths]


@subnormals_as_zero()
def train_cascade(
    settings: SinGANConfig, reference: Reference, folder: Path, seed: int, precision: str = "auto"
) -> list[Path]:
    """Train all scales on the reference slice; leaves the cascade, the reference and sample sheets in `folder`."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(seed)
    sizes = pyramid_sizes(reference.image.shape, settings)
    device = pick_device()
    dtype = convolution_type(precision, device)
    model = SinGAN(sizes, channels(len(sizes), settings), settings.layers)
    model = model.to(device, memory_format=layout_for(dtype))
    full = torch.from_numpy(reference.image)[None, None].to(device)
    log = LossLog(folder, LOSSES)
    first = _resume(model, folder / "scales")
    for scale in track(range(first, len(sizes)), "SinGAN", len(sizes), first):
        train_scale(model, scale, resize(full, sizes[scale]), settings, log, dtype)
        _save_scale(model, scale, folder / "scales")
    log.close()
    model.eval()
    save_samples(model, reference, folder / "samples.png")
    save_file(
        {key: value.contiguous().cpu() for key, value in model.state_dict().items()}, folder / "cascade.safetensors"
    )
    np.savez(folder / "reference.npz", image=reference.image, tumour=reference.tumour)
    error = float((model.reconstruct(model.scales - 1) - full).square().mean().sqrt()) / 2
    write_json(
        folder / "cascade.json",
        {
            "sizes": sizes,
            "widths": model.widths,
            "layers": settings.layers,
            "case": reference.case,
            "slice": reference.slice,
            "chosen": reference.chosen,
            "reconstruction_rmse": error,
        },
    )
    return [folder / name for name in ("cascade.safetensors", "cascade.json", "reference.npz")]


def load_cascades(run_dir: Path, device: torch.device) -> list[tuple[SinGAN, dict]]:
    """What `load_cascade` gives for every reference slice of the run."""
    folders = [HARMONISER.folder(run_dir), *sorted(HARMONISER.folder(run_dir).glob("reference_*"))]
    return [load_cascade(folder, device) for folder in folders]


def load_cascade(folder: Path, device: torch.device) -> tuple[SinGAN, dict]:
    """The trained cascade in `folder`, ready for injection, and what is recorded of it.

    The record has the reference slice as well: `image`, float32 (Y, X) in [-1, 1], and `tumour`, bool (Y, X).
    """
    record = json.loads((folder / "cascade.json").read_text(encoding="utf-8"))
    with np.load(folder / "reference.npz") as reference:
        record.update(reference)
    model = SinGAN([tuple(size) for size in record["sizes"]], record["widths"], record["layers"])
    model.load_state_dict(load_file(folder / "cascade.safetensors"))
    return model.to(device).eval(), record


def train_scale(
    model: SinGAN, scale: int, real: torch.Tensor, config: SinGANConfig, log: LossLog, dtype: torch.dtype
) -> None:
    """Train G_scale on `real` (1, 1, Y, X) against its critic, the coarser scales frozen. Shaham et al. 2019, sec. 2.2.

    Convolutions run in `dtype`, float32 or bfloat16. Raises nothing; leaves the scale's noise amplitude and generator
    in `model`.
    """
    generator = model.generators[scale]
    critic = PatchStack(model.widths[scale], config.layers).to(real.device, memory_format=layout_for(dtype))
    if scale:
        if model.widths[scale] == model.widths[scale - 1]:
            generator.load_state_dict(model.generators[scale - 1].state_dict())
        _prepare_amplitude(model, scale, real, config)
    else:
        model.amplitudes[0] = 1.0
        model.fixed_noise.copy_(torch.randn(model.fixed_noise.shape))
    freeze(critic, True)
    optimisers = [
        torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.5, 0.999), fused=True)
        for network in (generator, critic)
    ]
    settling = int(SETTLING_FROM * config.iterations)
    decay = [torch.optim.lr_scheduler.MultiStepLR(o, [settling], 0.1) for o in optimisers]
    rebuilt, fixed = _reconstruction_input(model, scale)
    interval = max(1, config.iterations // 10)
    computed = partial(torch.autocast, real.device.type, torch.bfloat16, enabled=dtype is torch.bfloat16)
    for iteration in range(1, config.iterations + 1):
        if iteration > settling:
            # From here on its batch norm does what it will do to any image: tumours go in many at a time.
            generator.eval()
        for _ in range(config.discriminator_steps):
            with torch.no_grad(), computed():
                previous = _random_previous(model, scale)
                noise = model._noise(previous, scale, None)
            with computed():
                fake = generator(noise, previous)
            wasserstein, penalty = set_gradients(critic.layers, real, fake.detach(), config.penalty_weight, dtype)
            optimisers[1].step()
        for step in range(config.generator_steps):
            with computed():
                # As published, the generator answers for the image that the critic saw last.
                fake = generator(noise, previous) if step else fake
                adversarial = -critic(fake).mean()
                reconstruction = config.reconstruction_weight * (generator(fixed, rebuilt) - real).square().mean()
            optimisers[0].zero_grad()
            (adversarial + reconstruction).backward()
            optimisers[0].step()
        for scheduler in decay:
            scheduler.step()
        if iteration % interval == 0:
            losses = (loss.item() for loss in (wasserstein, penalty, adversarial, reconstruction))
            log.write(scale * config.iterations + iteration, dict(zip(LOSSES, (scale, *losses), strict=True)))
    freeze(generator, True)
    generator.eval()


def _random_previous(model: SinGAN, scale: int) -> torch.Tensor:
    if scale == 0:
        return torch.zeros(1, 1, *model.sizes[0], device=model.amplitudes.device)
    return resize(model.sample(1, scale - 1), model.sizes[scale])


@torch.no_grad()
def _reconstruction_input(model: SinGAN, scale: int) -> tuple[torch.Tensor, torch.Tensor]:
    if scale == 0:
        return torch.zeros_like(model.fixed_noise), model.fixed_noise * model.amplitudes[0]
    previous = resize(model.reconstruct(scale - 1), model.sizes[scale])
    return previous, torch.zeros_like(previous)


@torch.no_grad()
def _prepare_amplitude(model: SinGAN, scale: int, real: torch.Tensor, config: SinGANConfig) -> None:
    previous = resize(model.reconstruct(scale - 1), model.sizes[scale])
    model.amplitudes[scale] = config.noise_weight * (previous - real).square().mean().sqrt()


def _save_scale(model: SinGAN, scale: int, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    content = {"model": model.state_dict(), **random_state()}
    partial = folder / f"{scale:02d}.partial"
    torch.save(content, partial)
    partial.replace(folder / f"{scale:02d}.pt")


def _resume(model: SinGAN, folder: Path) -> int:
    saved = sorted(folder.glob("*.pt"))
    if not saved:
        return 0
    content = torch.load(saved[-1], map_location="cpu", weights_only=True)
    model.load_state_dict(content["model"])
    set_random_state(content)
    for scale in range(len(saved)):
        freeze(model.generators[scale], True)
        model.generators[scale].eval()
    return len(saved)


@torch.no_grad()
def save_samples(model: SinGAN, reference: Reference, path: Path) -> None:
    """A sheet: the reference, its reconstruction, its injection at each scale, and random samples."""
    full = torch.from_numpy(reference.image)[None, None].to(model.amplitudes.device)
    injected = {scale: model.inject(full, scale)[0, 0].cpu().numpy() for scale in range(1, model.scales)}
    columns = {
        "reference": [reference.image],
        "reconstructed": [model.reconstruct(model.scales - 1)[0, 0].cpu().numpy()],
        **{f"injected at {scale}": [image] for scale, image in injected.items()},
        "random sample": [model.sample(1, model.scales - 1)[0, 0].cpu().numpy()],
    }
    save_sheet(path, columns, {"reference": [reference.tumour]})


class SinGANHarmoniser:
    """SinGAN as the method's harmoniser."""

    Settings = SinGANConfig
