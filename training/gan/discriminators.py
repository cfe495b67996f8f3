"""The patch discriminator of CycleGAN and pix2pix, and the losses and the pool that go with it."""

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
        # Ours gives the same values as PyTorch's, faster.
        for parent in list(self.network.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.InstanceNorm2d):
                    setattr(parent, name, InstanceNorm(child.num_features))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (B, 1, Y', X') of images (B, `inputs`, Y, X)."""
        # MONAI's network returns what every layer gives; the logits are the last.
        return self.network(image)[-1]


def least_squares(logits: torch.Tensor, real: bool) -> torch.Tensor:
    """Mean squared distance of the logits to 1 (real) or 0. Mao et al. 2017, as CycleGAN uses it."""
    distance = logits - 1 if real else logits
    return distance.square().mean()


def discriminator_loss(discriminator: nn.Module, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Half the sum of the least-squares losses of as many real as fake images (B, C, Y, X), a scalar."""
    # One pass over both: every image is normalised by itself, so that they do not mix.
    logits = discriminator(torch.cat([real, fake]))
    of_real, of_fake = logits.chunk(2)

    loss_of_real = least_squares(of_real, real=True)
    loss_of_fake = least_squares(of_fake, real=False)
    return 0.5 * (loss_of_real + loss_of_fake)


def initialise(network: nn.Module) -> nn.Module:
    """Convolutions from a normal distribution of mean 0 and sd 0.02, biases 0. Zhu et al. 2017, section 4."""
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            continue
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
        self._images: torch.Tensor | None = None  # (up to size, 1, Y, X)

    def exchange(self, fakes: torch.Tensor, choices: torch.Tensor) -> torch.Tensor:
        """Fakes as the discriminator shall see them; while the pool fills, these are the new ones.

        Args:
            fakes: New fakes (B, 1, Y, X).
            choices: Random numbers (B, 2) in [0, 1). Below a half in the first column the new fake is shown, otherwise
                an old one, chosen by the second column, which the new one replaces.

        Returns:
            What to show, (B, 1, Y, X).
        """
        if self._size == 0:
            return fakes
        shown = []
        for fake, (coin, place) in zip(fakes, choices.tolist(), strict=True):
            if self._images is None:
                self._images = fake[None].clone()
                shown.append(fake)
            elif len(self._images) < self._size:
                self._images = torch.cat([self._images, fake[None]])
                shown.append(fake)
            elif coin < 0.5:
                shown.append(fake)
            else:
                index = int(place * self._size)
                # A copy, since the new fake is written over it.
                shown.append(self._images[index].clone())
                self._images[index] = fake
        return torch.stack(shown)

    def state_dict(self) -> dict[str, torch.Tensor | None]:
        """The images in the pool."""
        return {"images": self._images}

    def load_state_dict(self, state: dict[str, torch.Tensor | None]) -> None:
        """Put the images of `state` back."""
        self._images = state["images"]
