"""The gradients of a WGAN-GP critic, worked out by hand. Gulrajani et al. 2017, eq. 3.

The gradient penalty is a function of a gradient, so that its own gradient needs the network four times over:

1. forwards, for the scores of the three images of an update (`Layer.forward`);
2. back to the mixed image, for the gradient that the penalty is about (`_back_to_image`);
3. forwards again, with the penalty's derivative by that gradient in the place of an image (`_forward_again`);
4. back once more, for the gradients of the parameters (`_back_once_more`).

Autograd does the same by a graph of the gradient's graph, with a pass for each image, in which a batch normalisation
alone takes some twenty sums. Here the three images share their passes, each normalised by itself, and the second
derivative of the normalisation is made of what its first has left. It holds for stacks of convolutions without padding,
batch normalisation and LeakyReLU.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.functional import conv2d

from training.harmonisers.critic_layers import Critic, Layer, Trace, layers_of

MIXED, FAKE, REAL = range(3)
"""Places of the three images in a batch."""
ONLY_MIXED = slice(MIXED, MIXED + 1)
AFTER_MIXED = slice(FAKE, None)


@dataclass
class Slopes:
    """Gradients of the sum of the critic's scores of the mixed image: by the image, and layer by layer."""

    image: torch.Tensor
    """(1, 1, Y, X)"""
    convolved: list[torch.Tensor]
    """By the output of each layer's convolution."""
    normalised: list[torch.Tensor]
    """By the output of each hidden layer's normalisation."""
    means: list[tuple[torch.Tensor, torch.Tensor]]
    """By channel of each hidden layer: mean of the gradient by the normalisation's output, and mean of that gradient
    times the normalised image before weight and bias."""


@dataclass
class Curvature:
    """What the penalty adds, layer by layer, to the gradients of the weights and of the mixed image."""

    weight: list[torch.Tensor] = field(default_factory=list)
    norm_weight: list[torch.Tensor] = field(default_factory=list)
    convolved: list[torch.Tensor] = field(default_factory=list)


@torch.no_grad()
def set_gradients(
    critic: nn.Sequential, real: torch.Tensor, fake: torch.Tensor, weight: float, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Set the gradients of a critic's parameters for its loss on a real and a fake image.

    Args:
        critic: Convolutions without padding, with batch normalisation and LeakyReLU between them.
        real: Image (1, 1, Y, X).
        fake: Image (1, 1, Y, X), without a graph.
        weight: Of the gradient penalty.
        dtype: In which convolutions are computed; gradients have the parameters' own.

    Returns:
        The two terms of the loss. The Wasserstein term: mean score of `fake` less that of `real`. The penalty: `weight`
        times the mean squared difference from 1 of the norm of the scores' gradient, at one random mix of both images.
    """
    layers = layers_of(critic, dtype)
    share = torch.rand((), device=real.device)
    mixed = share * real + (1 - share) * fake
    # In the order of MIXED, FAKE and REAL.
    images = torch.cat([mixed, fake, real])  # (3, 1, Y, X)
    images = images.to(dtype)

    traces = layers.forward(images)
    scores = traces[-1].activated  # (3, 1, Y', X')
    fake_score = scores[FAKE].mean(dtype=real.dtype)
    real_score = scores[REAL].mean(dtype=real.dtype)
    wasserstein = fake_score - real_score

    slopes = _back_to_image(layers, traces)
    # An image has one channel, so that the norm over channels is the magnitude of each pixel's slope.
    norm = slopes.image.to(real.dtype).abs()  # (1, 1, Y, X)
    excess = norm - 1
    penalty = weight * excess.square().mean()

    # The derivative of the penalty by the norm of each pixel's slope, and by the slope itself.
    by_norm = (2 * weight / norm.numel()) * excess
    by_slope = by_norm * slopes.image.sign()
    by_slope = by_slope.to(dtype)
    curvature = _forward_again(layers, traces, slopes, by_slope)
    _back_once_more(layers, traces, curvature)
    return wasserstein, penalty


def _back_to_image(critic: Critic, traces: list[Trace]) -> Slopes:
    """Step 2: the gradient of the sum of the mixed image's scores, and all that step 3 will need of the way."""
    scores = traces[-1].activated[ONLY_MIXED]
    gradient = torch.ones_like(scores)
    convolved = [gradient]
    normalised = []
    means = []

    after = critic.last
    hidden_traces = traces[:-1]
    for layer, trace in zip(reversed(critic.hidden), reversed(hidden_traces), strict=True):
        # Only the input's gradient is asked for: the parameters' come in steps 3 and 4.
        activated = trace.activated[ONLY_MIXED]
        gradient, _, _ = after.convolution_backward(gradient, activated, True, False)
        gradient = layer.activation_backward(gradient, trace, ONLY_MIXED)
        normalised.append(gradient)

        gradient, by_weight, by_bias = layer.norm_backward(gradient, trace, MIXED)
        convolved.append(gradient)
        # The gradients by weight and bias are the two sums over pixels that the projection in step 3 needs as means.
        pixels = gradient[0, 0].numel()
        mean = by_bias / pixels
        along = by_weight / pixels
        means.append((mean, along))
        after = layer

    mixed = traces[0].inputs[ONLY_MIXED]
    image, _, _ = after.convolution_backward(gradient, mixed, True, False)
    # They were found from the last layer to the first.
    convolved.reverse()
    normalised.reverse()
    means.reverse()
    return Slopes(image, convolved, normalised, means)


def _forward_again(critic: Critic, traces: list[Trace], slopes: Slopes, asked: torch.Tensor) -> Curvature:
    """Step 3: carry forwards `asked`, the penalty's derivative by the image's gradient; (1, 1, Y, X).

    All that step 2 used owes its part: weights, and through batch normalisation the mixed image itself.
    """
    result = Curvature()
    for place, layer in enumerate(critic.hidden):
        trace = traces[place]
        slope = slopes.convolved[place]  # (1, C, Y, X), as are all images from here on
        slope_at_norm = slopes.normalised[place]
        mean, along = slopes.means[place]

        # Step 2 went through this convolution backwards: the way forwards is its transpose, and the weight's gradient
        # that of an ordinary pass with `asked` in the place of the image.
        _, by_weight, _ = layer.convolution_backward(slope, asked, False, True)
        result.weight.append(by_weight)
        asked_at_norm = conv2d(asked, layer.weight)
        asked, by_norm_weight, by_norm_bias = layer.norm_backward(asked_at_norm, trace, MIXED)

        # With P the projection that the derivative of batch normalisation is, up to weight and scale, the gradient that
        # it handed back in step 2 was weight * scale * P(slope_at_norm): what follows is its derivative by the
        # channel's weight, and by what P is made of, which is the mixed image's mean and standard deviation.
        pixels = asked[0, 0].numel()
        centre, scale = trace.moments[MIXED]  # (C,)
        asked_mean = by_norm_bias / pixels
        asked_along = by_norm_weight / pixels
        product = asked_at_norm * slope_at_norm
        overlap = product.sum((0, 2, 3)).to(scale.dtype) / pixels
        excess = overlap - asked_mean * mean - asked_along * along
        result.norm_weight.append(pixels * scale * excess)

        # Three terms of the gradient by the mixed image: along the image itself, along what was asked, along the slope.
        spread = -(scale**3) * layer.norm.weight * excess
        at_mixed = trace.convolved[ONLY_MIXED]
        offset = _by_channel(-spread * centre, asked)
        by_mixed = torch.addcmul(offset, at_mixed, _by_channel(spread, asked))
        along_asked = _by_channel(-scale * along, asked)
        by_mixed.addcmul_(asked, along_asked)
        along_slope = _by_channel(-scale * asked_along, asked)
        by_mixed.addcmul_(slope, along_slope)
        result.convolved.append(by_mixed)

        # LeakyReLU has no second derivative, so that nothing but its slopes goes on from here.
        asked = layer.activation_backward(asked, trace, ONLY_MIXED)

    last_slope = slopes.convolved[-1]
    _, by_weight, _ = critic.last.convolution_backward(last_slope, asked, False, True)
    result.weight.append(by_weight)
    return result


def _by_channel(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`values` (C,) as (1, C, 1, 1), of the type of `like`."""
    in_type = values.to(like.dtype)
    return in_type.view(1, -1, 1, 1)


def _back_once_more(critic: Critic, traces: list[Trace], curvature: Curvature) -> None:
    """Step 4: the ordinary gradients into the parameters, those of the penalty joining the mixed image's on the way."""
    # The last layer leaves the mixed image out: of its scores the penalty takes a slope that is 1 everywhere.
    trace = traces[-1]
    scores = trace.activated[AFTER_MIXED]  # (2, 1, Y', X')
    share = 1 / scores[0].numel()
    gradient = torch.empty_like(scores)
    gradient[FAKE - 1] = share
    gradient[REAL - 1] = -share
    inputs = trace.inputs[AFTER_MIXED]
    gradient, by_weight, by_bias = critic.last.convolution_backward(gradient, inputs, True, True)
    _set_convolution(critic.last, by_weight, by_bias, curvature.weight[-1])

    # The layer before it gets a gradient of two images and hands on one of three; all others get and give three.
    first = FAKE
    for place in reversed(range(len(critic.hidden))):
        layer = critic.hidden[place]
        trace = traces[place]
        images = len(trace.convolved)
        gradient = layer.activation_backward(gradient, trace, slice(first, images))

        # Each image goes back through the moments that it was normalised by; to the mixed one's gradient that of the
        # penalty is added, and the norm's own parameters get the sum over the images.
        by_convolved = torch.empty_like(trace.convolved)  # (3, C, Y, X)
        by_convolved[MIXED] = curvature.convolved[place][0]
        norm_weight = curvature.norm_weight[place]
        norm_bias = torch.zeros_like(norm_weight)
        for image in range(first, images):
            # Cut out by a slice: an axis that is put back has lost the memory layout, and the sums their order.
            place_in_gradient = image - first
            own = gradient[place_in_gradient : place_in_gradient + 1]
            through, by_norm_weight, by_norm_bias = layer.norm_backward(own, trace, image)
            norm_weight = norm_weight + by_norm_weight
            norm_bias = norm_bias + by_norm_bias
            if image == MIXED:
                through = by_convolved[MIXED] + through
            by_convolved[image] = through[0]
        _set(layer.norm.weight, norm_weight)
        _set(layer.norm.bias, norm_bias)

        # Nothing asks for the gradient by the images themselves.
        by_input = place > 0
        gradient, by_weight, by_bias = layer.convolution_backward(by_convolved, trace.inputs, by_input, True)
        _set_convolution(layer, by_weight, by_bias, curvature.weight[place])
        first = MIXED


def _set_convolution(
    layer: Layer, by_weight: torch.Tensor, by_bias: torch.Tensor, penalty_by_weight: torch.Tensor
) -> None:
    """Set the gradients of a layer's convolution; the penalty has none by the bias."""
    convolution = layer.convolution
    _set(convolution.weight, by_weight, penalty_by_weight)
    if convolution.bias is not None:
        _set(convolution.bias, by_bias)


def _set(parameter: torch.Tensor, *terms: torch.Tensor) -> None:
    """Make the sum of `terms` the gradient, with the parameter's type and, as Adam wants it, its layout."""
    total = torch.zeros_like(parameter)
    for term in terms:
        total += term
    parameter.grad = total
