"""The patch discriminator of CycleGAN and pix2pix, and the losses that go with it."""

from __future__ import annotations

import torch
from monai.networks.nets import PatchDiscriminator
from torch import nn

from vestibule.networks import InstanceNorm


class PatchGAN(nn.Module):
    """A PatchGAN: (B, `inputs`, Y, X) -> logits (B, 1, Y', X'), one a patch; no sigmoid.

    Isola et al. 2017, section 3.2.2; with width 64 and 3 layers the 70 x 70 one of 2.76 M parameters.
    """

    def __init__(self, inputs: int, width: int, layers: int) -> None:
        super().__init__()
        self.network = PatchDiscriminator(
            spatial_dims=2, channels=width, in_channels=inputs, num_layers_d=layers, norm="INSTANCE", bias=True
        )
        for parent in list(self.network.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.InstanceNorm2d):
                    setattr(parent, name, InstanceNorm(child.num_features))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image)[-1]


def least_squares(logits: torch.Tensor, real: bool) -> torch.Tensor:
    """Mean squared distance of the logits to 1 (real) or 0. Mao et al. 2017, as CycleGAN uses it."""
    return (logits - 1).square().mean() if real else logits.square().mean()


def initialise(network: nn.Module) -> nn.Module:
    """Convolutions from a normal distribution of mean 0 and sd 0.02, biases 0. Zhu et al. 2017, section 4."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


class ReplayPool:
    """Up to `size` earlier fakes: the discriminator sees one of them half of the time. Shrivastava et al. 2017.

    The images are kept in one tensor, so that the pool is part of a resumable state.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._images: torch.Tensor | None = None

    def exchange(self, fakes: torch.Tensor, choices: torch.Tensor) -> torch.Tensor:
        """Fakes (B, 1, Y, X) as the discriminator shall see them.

        `choices` (B, 2) in [0, 1): below a half in the first column the new fake is shown, otherwise an old one, chosen
        by the second column, which the new one replaces. While the pool fills, new fakes are shown.
        """
        if self._size == 0:
            return fakes
        shown = []
        for fake, (coin, place) in zip(fakes, choices.tolist(), strict=True):
            if self._images is None or len(self._images) < self._size:
                kept = fake[None].clone()
                self._images = kept if self._images is None else torch.cat([self._images, kept])
                shown.append(fake)
            elif coin < 0.5:
                shown.append(fake)
            else:
                index = int(place * self._size)
                shown.append(self._images[index].clone())
                self._images[index] = fake
        return torch.stack(shown)

    def state_dict(self) -> dict:
        """The images in the pool."""
        return {"images": self._images}

    def load_state_dict(self, state: dict) -> None:
        """Put the images of `state` back."""
        self._images = state["images"]


def linear_decay(iterations: int, decay_from: float):
    """Factor of the learning rate at an iteration: 1, then linearly to 0 from the share `decay_from` on."""
    start = int(iterations * decay_from)

    def factor(iteration: int) -> float:
        return 1.0 if iteration < start else max(0.0, 1 - (iteration - start) / max(1, iterations - start))

    return factor
