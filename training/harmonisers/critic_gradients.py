"""A critic's Wasserstein loss with gradient penalty, its gradients worked out by hand. Gulrajani et al. 2017, eq. 3.

The penalty is a function of a gradient, so that its own gradient needs the network four times over: forwards, back to
the image, forwards with what the penalty asks of that gradient, and back once more. Autograd does the same by a graph
of the gradient's graph, a pass an image, in which a batch normalisation alone takes some twenty sums. Here the three
images of an update share their passes, each normalised by itself, and the normalisation's second derivative is made of
what its first has left. It holds for stacks of convolutions without padding, batch norm and LeakyReLU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import conv2d, leaky_relu

aten = torch.ops.aten
MIXED, FAKE, REAL = range(3)


@dataclass
class Layer:
    """A convolution, and the batch norm and LeakyReLU behind it, which the last one lacks."""

    convolution: nn.Conv2d
    norm: nn.BatchNorm2d | None
    slope: float
    weight: torch.Tensor
    """In the type in which all is computed; that of the parameters stays."""

    def forward(self, images: torch.Tensor) -> Trace:
        """What becomes of `images` (B, C, Y, X), each normalised by itself."""
        found = conv2d(images, self.weight, self.convolution.bias.to(images.dtype))
        if self.norm is None:
            return Trace(images, found, found, found, [])
        normalised, moments = torch.empty_like(found), []
        for n in range(len(found)):
            normalised[n : n + 1], mean, scale = aten.native_batch_norm(
                found[n : n + 1], self.norm.weight, self.norm.bias, None, None, True, 0.0, self.norm.eps
            )
            moments.append((mean, scale))
        return Trace(images, found, normalised, leaky_relu(normalised, self.slope), moments)

    def unrectify(self, gradient: torch.Tensor, trace: Trace, images: slice) -> torch.Tensor:
        """LeakyReLU's derivative, which is its own transpose, applied to what belongs to `images` of the trace."""
        return aten.leaky_relu_backward(gradient, trace.normalised[images], self.slope, False)

    def unnormalise(self, gradient: torch.Tensor, trace: Trace, image: int) -> tuple[torch.Tensor, ...]:
        """Batch norm's derivative of one image, symmetric as well; the gradients of its weight and bias."""
        found = trace.found[image : image + 1]
        return aten.native_batch_norm_backward(
            gradient, found, self.norm.weight, None, None, *trace.moments[image], True, self.norm.eps, [True] * 3
        )

    def back(self, gradient: torch.Tensor, images: torch.Tensor, need: tuple[bool, bool]) -> tuple[torch.Tensor, ...]:
        """The convolution's gradients: by its input and by its weight and bias, as far as they are in `need`."""
        return aten.convolution_backward(
            *(gradient, images, self.weight, [len(self.weight)], [1, 1], [0, 0], [1, 1]),
            *(False, [0, 0], 1, [need[0], need[1], need[1]]),
        )


@dataclass
class Trace:
    """What a layer made of its input, all (B, C, Y, X): behind the convolution, the norm and the LeakyReLU."""

    images: torch.Tensor
    found: torch.Tensor
    normalised: torch.Tensor
    result: torch.Tensor
    moments: list[tuple[torch.Tensor, torch.Tensor]]
    """Mean and reciprocal standard deviation of every image's channels."""


@torch.no_grad()
def set_gradients(
    critic: nn.Sequential, real: torch.Tensor, fake: torch.Tensor, weight: float, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Set the gradients of `critic` for its loss on two images (1, 1, Y, X); returns its two terms.

    Its mean over `fake` less that over `real`, and `weight` times the squared way from 1 of the gradient's norm, at one
    random mix for the whole image. Convolutions are computed in `dtype`, the parameters' gradients have their own.
    """
    layers = layers_of(critic, dtype)
    share = torch.rand((), device=real.device)
    mixed = share * real + (1 - share) * fake
    traces, images = [], torch.cat([mixed, fake, real]).to(dtype)
    for layer in layers:
        traces.append(layer.forward(images))
        images = traces[-1].result
    wasserstein = images[FAKE].mean(dtype=real.dtype) - images[REAL].mean(dtype=real.dtype)
    slopes = _back_to_image(layers, traces)
    norm = slopes.image.to(real.dtype).abs()
    penalty = weight * (norm - 1).square().mean()
    asked = (2 * weight / norm.numel()) * (norm - 1) * slopes.image.sign()
    curvature = _forward_again(layers, traces, slopes, asked.to(dtype))
    _back_once_more(layers, traces, curvature)
    return wasserstein, penalty


def layers_of(critic: nn.Sequential, dtype: torch.dtype) -> list[Layer]:
    """The critic's layers, with weights in `dtype` that lie in memory as the critic's do."""
    modules = list(critic)
    layers = []
    for place in range(0, len(modules), 3):
        norm, rectifier = modules[place + 1 : place + 3] if place + 1 < len(modules) else (None, None)
        weight = modules[place].weight.to(dtype)
        layers.append(Layer(modules[place], norm, rectifier.negative_slope if rectifier else 1.0, weight))
    return layers


@dataclass
class Slopes:
    """Gradients of the critic's sum over the mixed image: by the image, and layer by layer."""

    image: torch.Tensor
    found: list[torch.Tensor]
    """By what the convolutions found."""
    normalised: list[torch.Tensor]
    means: list[tuple[torch.Tensor, torch.Tensor]]
    """By channel: mean of the gradient by what the norm gave, and of that times what it gave before weight and bias."""


def _back_to_image(layers: list[Layer], traces: list[Trace]) -> Slopes:
    mixed = slice(MIXED, MIXED + 1)
    gradient = torch.ones_like(traces[-1].result[mixed])
    found, normalised, means = [gradient], [], []
    for layer, trace, after in reversed(list(zip(layers, traces, layers[1:], strict=False))):
        gradient, _, _ = after.back(gradient, trace.result[mixed], (True, False))
        gradient = layer.unrectify(gradient, trace, mixed)
        normalised.insert(0, gradient)
        gradient, by_weight, by_bias = layer.unnormalise(gradient, trace, MIXED)
        found.insert(0, gradient)
        pixels = gradient[0, 0].numel()
        means.insert(0, (by_bias / pixels, by_weight / pixels))
    image, _, _ = layers[0].back(gradient, traces[0].images[mixed], (True, False))
    return Slopes(image, found, normalised, means)


@dataclass
class Curvature:
    """What the penalty adds, layer by layer, to the gradients of the weights and of the mixed image."""

    weight: list[torch.Tensor]
    norm_weight: list[torch.Tensor]
    found: list[torch.Tensor]


def _forward_again(layers: list[Layer], traces: list[Trace], slopes: Slopes, asked: torch.Tensor) -> Curvature:
    """Carry forwards what the penalty asks of the image's gradient; all that `_back_to_image` used owes its part."""
    mixed = slice(MIXED, MIXED + 1)
    result = Curvature([], [], [])
    for layer, trace, gradient, normalised, (mean, along) in zip(
        layers, traces, slopes.found, slopes.normalised, slopes.means, strict=False
    ):
        result.weight.append(layer.back(gradient, asked, (False, True))[1])
        asked = conv2d(asked, layer.weight)
        at_norm = asked
        asked, by_weight, by_bias = layer.unnormalise(at_norm, trace, MIXED)
        # With P the projection that batch norm's derivative is, up to weight and scale, the gradient that it handed
        # back was weight * scale * P(normalised): its derivative by the channel's weight, and by what P is made of.
        pixels, (centre, scale) = asked[0, 0].numel(), trace.moments[MIXED]
        asked_mean, asked_along = by_bias / pixels, by_weight / pixels
        overlap = (at_norm * normalised).sum((0, 2, 3)).to(scale.dtype) / pixels
        excess = overlap - asked_mean * mean - asked_along * along
        result.norm_weight.append(pixels * scale * excess)
        spread = -(scale**3) * layer.norm.weight * excess
        found = torch.addcmul(_by_channel(-spread * centre, asked), trace.found[mixed], _by_channel(spread, asked))
        found.addcmul_(asked, _by_channel(-scale * along, asked))
        found.addcmul_(gradient, _by_channel(-scale * asked_along, asked))
        result.found.append(found)
        asked = layer.unrectify(asked, trace, mixed)
    result.weight.append(layers[-1].back(slopes.found[-1], asked, (False, True))[1])
    return result


def _by_channel(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.to(like.dtype).view(1, -1, 1, 1)


def _back_once_more(layers: list[Layer], traces: list[Trace], curvature: Curvature) -> None:
    """The ordinary gradients, those of the penalty joining the mixed image's on the way, into the parameters."""
    share = 1 / traces[-1].result[0].numel()
    gradient = torch.empty_like(traces[-1].result[FAKE:])
    gradient[FAKE - 1], gradient[REAL - 1] = share, -share
    for place in reversed(range(len(layers))):
        layer, trace = layers[place], traces[place]
        if layer.norm is None:
            # The last one leaves the mixed image out: of its result the penalty takes a slope that is 1 everywhere.
            gradient, by_weight, by_bias = layer.back(gradient, trace.images[FAKE:], (True, True))
        else:
            at_found, own = torch.empty_like(trace.found), curvature.norm_weight[place]
            bias = torch.zeros_like(own)
            first = len(trace.found) - len(gradient)
            gradient = layer.unrectify(gradient, trace, slice(first, None))
            at_found[MIXED] = curvature.found[place][0]
            for image in range(first, len(trace.found)):
                through, norm_weight, norm_bias = layer.unnormalise(
                    gradient[image - first : image - first + 1], trace, image
                )
                own, bias = own + norm_weight, bias + norm_bias
                at_found[image] = through[0] if image != MIXED else at_found[MIXED] + through[0]
            _set(layer.norm.weight, own)
            _set(layer.norm.bias, bias)
            gradient, by_weight, by_bias = layer.back(at_found, trace.images, (place > 0, True))
        _set(layer.convolution.weight, by_weight, curvature.weight[place])
        _set(layer.convolution.bias, by_bias)


def _set(parameter: nn.Parameter, *terms: torch.Tensor) -> None:
    """Make the sum of `terms` the gradient, with the parameter's type and, as Adam wants it, its layout."""
    parameter.grad = torch.zeros_like(parameter)
    for term in terms:
        parameter.grad += term
