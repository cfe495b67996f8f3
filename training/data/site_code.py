"""A generator that is told whose look of T2 it shall give: each site has a scale and a shift in every normalisation.

Conditional instance normalisation, Dumoulin et al. 2017 ("A learned representation for artistic style"). The winner of
crossMoDA 2023 had a site code, too. One that is only a further channel of the image would do nothing: the normalisation
behind the first convolution takes every constant away.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from training.data.slices import PreparedCase
from vestibule.errors import InputError
from vestibule.files import read_json
from vestibule.networks import InstanceNorm

SITES = "sites.json"
"""File of a stage whose generator has a code: names of the sites, in the order of the code."""


class SiteNorm(nn.Module):
    """Instance normalisation, then the scale and the shift of the image's site: (B, C, Y, X) -> the same."""

    def __init__(self, channels: int, sites: int) -> None:
        super().__init__()
        self.norm = InstanceNorm(channels)
        # From 0 on, so that all sites begin alike and as a generator without a code does.
        self.scale = nn.Parameter(torch.zeros(sites, channels))
        self.shift = nn.Parameter(torch.zeros(sites, channels))
        self.code: torch.Tensor | None = None  # (B, sites), set by `SiteCoded`

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise each channel of each image by itself. Raises ValueError where no site is named."""
        if self.code is None:
            raise ValueError("a generator with a site code was called without one")
        scale = self.code @ self.scale  # (B, C)
        shift = self.code @ self.shift
        normalised = self.norm(features)
        scaled = normalised * (1 + scale[:, :, None, None])
        return scaled + shift[:, :, None, None]


class SiteCoded(nn.Module):
    """A generator with a site code: (B, 1 + sites, Y, X), an image and a plane for each site -> (B, 1, Y, X)."""

    def __init__(self, generator: nn.Module, sites: int) -> None:
        """Take over a generator, whose weights stay.

        Args:
            generator: (B, 1, Y, X) -> (B, 1, Y, X).
            sites: How many there are.
        """
        super().__init__()
        self.generator = generator
        for parent in list(generator.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, InstanceNorm):
                    norm = SiteNorm(child.channels, sites)
                    setattr(parent, name, norm)

    def forward(self, coded: torch.Tensor) -> torch.Tensor:
        """Translate slices with their code, as `with_code` gives them."""
        image = coded[:, :1]
        code = coded[:, 1:, 0, 0]  # (B, sites)
        for module in self.generator.modules():
            if isinstance(module, SiteNorm):
                module.code = code
        return self.generator(image)


class OfSite(nn.Module):
    """A generator with a site code that gives the look of one site: (B, 1, Y, X) -> (B, 1, Y, X)."""

    def __init__(self, generator: nn.Module, site: int, sites: int) -> None:
        """Name the site by its place among all."""
        super().__init__()
        self.generator = generator
        self._site = site
        self._sites = sites

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Translate slices to the site's look."""
        code = image.new_zeros(len(image), self._sites)
        code[:, self._site] = 1
        return self.generator(with_code(image, code))


def with_code(images: torch.Tensor, code: torch.Tensor | None) -> torch.Tensor:
    """Images (B, 1, Y, X) with a plane for each site, of 1 in that of the image's own: (B, 1 + sites, Y, X).

    Without a code (B, sites), the images themselves.
    """
    if code is None:
        return images
    rows, columns = images.shape[2:]
    planes = code.to(images.dtype)[:, :, None, None]
    planes = planes.expand(-1, -1, rows, columns)
    return torch.cat([images, planes], dim=1)


def code_of(cases: Sequence[PreparedCase], sites: Sequence[str]) -> torch.Tensor:
    """The code of each case's site, (B, sites): 1 at the site's place, else 0."""
    code = torch.zeros(len(cases), len(sites))
    for row, case in enumerate(cases):
        place = sites.index(case.site or "")
        code[row, place] = 1
    return code


def sites_of(cases: Sequence[PreparedCase]) -> list[str]:
    """Names of the sites of T2 cases, sorted.

    Raises InputError where they are not at least two, or a case's is not known.
    """
    found = {case.name: case.site for case in cases}
    return check_sites(found)


def check_sites(found: dict[str, str | None]) -> list[str]:
    """The sites by the names of cases, sorted. Raises InputError as `sites_of` does."""
    for case, site in found.items():
        if site is None:
            raise InputError(
                f"{case}: its name tells no site, and site_code needs that of every T2 case; rename it as the "
                "challenge's cases are called, or set site_code: false"
            )
    sites = sorted({site for site in found.values() if site})
    if len(sites) < 2:
        known = ", ".join(sites) or "none"
        raise InputError(f"site_code needs T2 cases of several sites, and there is {known}; set site_code: false")
    return sites


def read_sites(folder: Path) -> list[str]:
    """The sites that the generator in a stage's folder has a code for; none where it has no code."""
    content = read_json(folder / SITES)
    return content["sites"] if content else []
