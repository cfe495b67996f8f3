"""The updates of CycleGAN, pix2pix and SinGAN as published, in plain PyTorch float32: what ours are timed against.

Written anew from the papers and their appendices, module for module and call for call as the published code has them:
one forward a term, nn.InstanceNorm2d, nn.ReflectionPad2d, Adam as it comes, no fusing, no batching across terms.
"""

from __future__ import annotations

import random

import torch
from torch import nn
from torch.nn import functional


def resnet(width: int, blocks: int) -> nn.Module:
    """CycleGAN's generator: (B, 1, Y, X) -> the same. Zhu et al. 2017, appendix 7.2."""
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(1, width, 7), nn.InstanceNorm2d(width), nn.ReLU(True)]
    for inputs in (width, 2 * width):
        layers += [nn.Conv2d(inputs, 2 * inputs, 3, 2, 1), nn.InstanceNorm2d(2 * inputs), nn.ReLU(True)]
    layers += [Residual(4 * width) for _ in range(blocks)]
    for inputs in (4 * width, 2 * width):
        layers.append(nn.ConvTranspose2d(inputs, inputs // 2, 3, 2, 1, output_padding=1))
        layers += [nn.InstanceNorm2d(inputs // 2), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7), nn.Tanh())


class Residual(nn.Module):
    """A residual block with reflection padding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        other = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        self.layers = nn.Sequential(*half, nn.ReLU(True), *other)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, C, Y, X) -> the same shape."""
        return features + self.layers(features)


class UNet(nn.Module):
    """pix2pix's generator with batch norm: (B, 1, Y, X) -> the same. Isola et al. 2017, section 6.1.1."""

    def __init__(self, width: int, stages: int) -> None:
        super().__init__()
        widths = [width * min(2**stage, 8) for stage in range(stages)]
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        for stage, outputs in enumerate(widths):
            inputs = widths[stage - 1] if stage else 1
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if stage else []
            layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1))
            if 0 < stage < stages - 1:
                layers.append(nn.BatchNorm2d(outputs))
            self.down.append(nn.Sequential(*layers))
        for stage in reversed(range(stages)):
            is_deepest = stage == stages - 1
            # All but the deepest take the features of their own level beside what comes up.
            inputs = widths[stage] if is_deepest else 2 * widths[stage]
            outputs = widths[stage - 1] if stage else 1
            layers = [nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)]
            layers.append(nn.BatchNorm2d(outputs) if stage else nn.Tanh())
            if stages - 4 <= stage < stages - 1 and stage:
                layers.append(nn.Dropout(0.5))
            self.up.append(nn.Sequential(*layers))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 1, Y, X) -> the same shape, in [-1, 1]."""
        skips = []
        for stage in self.down:
            image = stage(image)
            skips.append(image)
        image = self.up[0](skips.pop())
        for stage in self.up[1:]:
            image = stage(torch.cat([skips.pop(), image], 1))
        return image


def patch_discriminator(inputs: int, width: int, layers: int, norm: type[nn.Module]) -> nn.Module:
    """The PatchGAN of both: (B, `inputs`, Y, X) -> logits."""
    found = [nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    current = width
    for layer in range(1, layers + 1):
        following = width * min(2**layer, 8)
        found.append(nn.Conv2d(current, following, 4, 2 if layer < layers else 1, 1))
        found += [norm(following), nn.LeakyReLU(0.2, True)]
        current = following
    return nn.Sequential(*found, nn.Conv2d(current, 1, 4, 1, 1))


class Pool:
    """Fifty earlier fakes. Shrivastava et al. 2017."""

    def __init__(self) -> None:
        self.images: list[torch.Tensor] = []

    def query(self, fakes: torch.Tensor) -> torch.Tensor:
        """Images of the same number and shape, some of them older ones in the place of `fakes` (B, 1, Y, X)."""
        shown = []
        for fake in fakes:
            if len(self.images) < 50:
                self.images.append(fake)
            elif random.random() > 0.5:
                place = random.randrange(50)
                older = self.images[place].clone()
                self.images[place] = fake
                fake = older
            shown.append(fake)
        return torch.stack(shown)


def _adam(*networks: nn.Module) -> torch.optim.Optimizer:
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return torch.optim.Adam(parameters, 2e-4, betas=(0.5, 0.999))


def _trainable(on: bool, *networks: nn.Module) -> None:
    for network in networks:
        network.requires_grad_(on)


def _judge(logits: torch.Tensor, real: bool) -> torch.Tensor:
    return functional.mse_loss(logits, torch.full_like(logits, float(real)))


def take_weights(published: nn.Module, ours: nn.Module) -> None:
    """Give a published network the convolutions of ours, so that both start alike."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    receivers = [module for module in published.modules() if isinstance(module, kinds)]
    givers = [module for module in ours.modules() if isinstance(module, kinds)]
    for to, of in zip(receivers, givers, strict=True):
        to.load_state_dict(of.state_dict())


class PublishedCycleGAN:
    """Zhu et al. 2017: least squares, cycle 10, identity 0.5."""

    def __init__(self, width: int, blocks: int, discriminator_width: int, layers: int = 3) -> None:
        self.forth = resnet(width, blocks)
        self.back = resnet(width, blocks)
        self.discriminator_a = patch_discriminator(1, discriminator_width, layers, nn.InstanceNorm2d)
        self.discriminator_b = patch_discriminator(1, discriminator_width, layers, nn.InstanceNorm2d)
        self.generators = _adam(self.forth, self.back)
        self.discriminators = _adam(self.discriminator_a, self.discriminator_b)
        self.pool_a = Pool()
        self.pool_b = Pool()

    def step(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        """One update of everything on slices (B, 1, Y, X). Returns terms of the loss, by our names."""
        _trainable(False, self.discriminator_a, self.discriminator_b)
        fake_b = self.forth(a)
        fake_a = self.back(b)
        cycled_a = self.back(fake_b)
        cycled_b = self.forth(fake_a)
        self.generators.zero_grad()
        kept_b = functional.l1_loss(self.forth(b), b)
        kept_a = functional.l1_loss(self.back(a), a)
        losses = {
            "identity": 5 * (kept_b + kept_a),
            "adversarial_ab": _judge(self.discriminator_b(fake_b), True),
            "adversarial_ba": _judge(self.discriminator_a(fake_a), True),
            "cycle_a": 10 * functional.l1_loss(cycled_a, a),
            "cycle_b": 10 * functional.l1_loss(cycled_b, b),
        }
        sum(losses.values()).backward()
        self.generators.step()

        _trainable(True, self.discriminator_a, self.discriminator_b)
        self.discriminators.zero_grad()
        for discriminator, real, pool, fake in (
            (self.discriminator_b, b, self.pool_b, fake_b),
            (self.discriminator_a, a, self.pool_a, fake_a),
        ):
            shown = pool.query(fake.detach())
            of_real = _judge(discriminator(real), True)
            of_fake = _judge(discriminator(shown), False)
            loss = 0.5 * (of_real + of_fake)
            loss.backward()
        self.discriminators.step()
        return losses


class PublishedPix2Pix:
    """Isola et al. 2017: conditional PatchGAN, L1 x 100."""

    def __init__(self, generator: nn.Module, discriminator_width: int, layers: int = 3) -> None:
        self.generator = generator
        self.discriminator = patch_discriminator(2, discriminator_width, layers, nn.BatchNorm2d)
        self.generator_step = _adam(generator)
        self.discriminator_step = _adam(self.discriminator)

    def step(self, condition: torch.Tensor, real: torch.Tensor) -> dict[str, torch.Tensor]:
        """One update of both on pairs of (B, 1, Y, X). Returns the generator's terms of the loss, by our names."""
        fake = self.generator(condition)
        fake_pair = torch.cat([condition, fake], 1)  # (B, 2, Y, X)
        real_pair = torch.cat([condition, real], 1)  # (B, 2, Y, X)

        _trainable(True, self.discriminator)
        self.discriminator_step.zero_grad()
        of_fake = _judge(self.discriminator(fake_pair.detach()), False)
        of_real = _judge(self.discriminator(real_pair), True)
        loss = 0.5 * (of_fake + of_real)
        loss.backward()
        self.discriminator_step.step()

        _trainable(False, self.discriminator)
        self.generator_step.zero_grad()
        losses = {
            "adversarial": _judge(self.discriminator(fake_pair), True),
            "pixel": 100 * functional.l1_loss(fake, real),
        }
        sum(losses.values()).backward()
        self.generator_step.step()
        return losses


class SinGANScale(nn.Module):
    """One network of SinGAN: five 3 x 3 convolutions with batch norm. Shaham et al. 2019, suppl."""

    def __init__(self, width: int, generates: bool) -> None:
        super().__init__()
        self.generates = generates
        body = []
        for layer in range(4):
            body += [nn.Conv2d(width if layer else 1, width, 3), nn.BatchNorm2d(width), nn.LeakyReLU(0.2, True)]
        self.body, self.tail = nn.Sequential(*body), nn.Conv2d(width, 1, 3)

    def forward(self, image: torch.Tensor, previous: torch.Tensor | None = None) -> torch.Tensor:
        """Image of this scale, added to `previous` (1, 1, Y, X); of a critic, its map of scores."""
        result = self.tail(self.body(image))
        if not self.generates:
            return result
        margin = (previous.shape[2] - result.shape[2]) // 2
        return torch.tanh(result) + previous[:, :, margin:-margin, margin:-margin]


class PublishedSinGAN:
    """One scale's epoch: three steps of the critic with gradient penalty, three of the generator."""

    def __init__(self, real: torch.Tensor, width: int) -> None:
        self.real, self.pad = real, nn.ZeroPad2d(5)
        self.generator, self.critic = SinGANScale(width, True), SinGANScale(width, False)
        self.generator_step = torch.optim.Adam(self.generator.parameters(), 5e-4, betas=(0.5, 0.999))
        self.critic_step = torch.optim.Adam(self.critic.parameters(), 5e-4, betas=(0.5, 0.999))
        self.fixed = self.pad(torch.zeros_like(real))

    def epoch(self, previous: torch.Tensor) -> None:
        """One iteration at this scale; `previous` (1, 1, Y, X) is what the coarser ones hand on."""
        before = self.pad(previous)
        for _ in range(3):
            self.critic.zero_grad()
            (-self.critic(self.real).mean()).backward()
            noise = self.pad(torch.randn_like(self.real)) * 0.1 + before
            fake = self.generator(noise.detach(), before)
            self.critic(fake.detach()).mean().backward()
            self._penalty(fake.detach()).backward()
            self.critic_step.step()
        for _ in range(3):
            self.generator.zero_grad()
            fake = self.generator(noise.detach(), before)
            (-self.critic(fake).mean()).backward()
            rebuilt = self.generator(self.fixed + before, before)
            (10 * functional.mse_loss(rebuilt, self.real)).backward()
            self.generator_step.step()

    def _penalty(self, fake: torch.Tensor) -> torch.Tensor:
        share = torch.rand(1, 1)
        mixed = (share * self.real + (1 - share) * fake).requires_grad_(True)
        logits = self.critic(mixed)
        (gradient,) = torch.autograd.grad(logits, mixed, torch.ones_like(logits), create_graph=True)
        return 0.1 * ((gradient.norm(2, dim=1) - 1) ** 2).mean()
