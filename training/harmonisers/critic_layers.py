"""The layers of a critic: what each computes forwards, and the derivatives of its parts by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import conv2d, leaky_relu

aten = torch.ops.aten


@dataclass
class Trace:
    """What a layer computed on its way forwards, all (B, C, Y, X)."""

    inputs: torch.Tensor
    convolved: torch.Tensor
    normalised: torch.Tensor
    activated: torch.Tensor
    moments: list[tuple[torch.Tensor, torch.Tensor]]
    """Mean and reciprocal standard deviation of the channels of each image."""


@dataclass
class Layer:
    """A convolution without padding: the last layer of a critic, which has nothing behind it."""

    convolution: nn.Conv2d
    weight: torch.Tensor
    """In the type in which all is computed; that of the parameters stays."""

    def forward(self, inputs: torch.Tensor) -> Trace:
        """What becomes of `inputs` (B, C, Y, X)."""
        convolved = self._convolve(inputs)
        return Trace(inputs, convolved, convolved, convolved, [])

    def _convolve(self, inputs: torch.Tensor) -> torch.Tensor:
        """The convolution in the type of `inputs`."""
        bias = self.convolution.bias
        if bias is not None:
            bias = bias.to(inputs.dtype)
        return conv2d(inputs, self.weight, bias)

    def convolution_backward(
        self, gradient: torch.Tensor, inputs: torch.Tensor, by_input: bool, by_parameters: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Gradients of the convolution by its input, its weight and its bias.

        Args:
            gradient: By the convolution's output, (B, C, Y, X).
            inputs: What was convolved, (B, C', Y + 2, X + 2).
            by_input: Whether the first is needed; it is None otherwise.
            by_parameters: Whether the other two are needed; they are None otherwise.

        Returns:
            The three gradients, each of the shape of what it is by.
        """
        wanted = [by_input, by_parameters, by_parameters]
        bias_sizes = [len(self.weight)]
        stride = dilation = [1, 1]
        padding = output_padding = [0, 0]
        return aten.convolution_backward(
            gradient,
            inputs,
            self.weight,
            bias_sizes,
            stride,
            padding,
            dilation,
            False,  # not transposed
            output_padding,
            1,  # one group
            wanted,
        )


@dataclass
class HiddenLayer(Layer):
    """A convolution with the batch normalisation and the LeakyReLU behind it."""

    norm: nn.BatchNorm2d
    slope: float

    def forward(self, inputs: torch.Tensor) -> Trace:
        """What becomes of `inputs` (B, C, Y, X), each image normalised by itself."""
        convolved = self._convolve(inputs)  # (B, C, Y - 2, X - 2)
        normalised = torch.empty_like(convolved)
        moments = []
        for image in range(len(convolved)):
            alone = slice(image, image + 1)
            normalised[alone], mean, inverse_sd = aten.native_batch_norm(
                convolved[alone],
                self.norm.weight,
                self.norm.bias,
                None,
                None,
                True,  # by the image's own moments, with no running ones kept
                0.0,
                self.norm.eps,
            )
            moments.append((mean, inverse_sd))
        activated = leaky_relu(normalised, self.slope)
        return Trace(inputs, convolved, normalised, activated, moments)

    def activation_backward(self, gradient: torch.Tensor, trace: Trace, images: slice) -> torch.Tensor:
        """LeakyReLU's derivative at `images` of the trace, applied to `gradient`; it is its own transpose."""
        return aten.leaky_relu_backward(gradient, trace.normalised[images], self.slope, False)

    def norm_backward(
        self, gradient: torch.Tensor, trace: Trace, image: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Batch normalisation's derivative at one image of the trace, applied to `gradient`; symmetric as well.

        Args:
            gradient: By the normalisation's output, (1, C, Y, X).
            trace: Of the way forwards.
            image: Its place in the batch.

        Returns:
            The gradients by what was normalised (1, C, Y, X), by the norm's weight (C,) and by its bias (C,).
        """
        convolved = trace.convolved[image : image + 1]
        mean, inverse_sd = trace.moments[image]
        wanted = [True, True, True]
        return aten.native_batch_norm_backward(
            gradient,
            convolved,
            self.norm.weight,
            None,
            None,
            mean,
            inverse_sd,
            True,
            self.norm.eps,
            wanted,
        )


@dataclass
class Critic:
    """A critic, layer by layer."""

    hidden: list[HiddenLayer]
    last: Layer

    def forward(self, images: torch.Tensor) -> list[Trace]:
        """The traces of `images` (B, 1, Y, X) through all layers; the scores are what the last of them ends with."""
        traces = []
        layers = [*self.hidden, self.last]
        for layer in layers:
            trace = layer.forward(images)
            traces.append(trace)
            images = trace.activated
        return traces


def layers_of(critic: nn.Sequential, dtype: torch.dtype) -> Critic:
    """The layers of `critic`, with weights in `dtype` that lie in memory as the critic's do."""
    modules: list[Any] = list(critic)
    last = modules.pop()
    hidden = []
    # Every other layer is three modules: convolution, normalisation, LeakyReLU.
    while modules:
        convolution, norm, activation = modules[:3]
        weight = convolution.weight.to(dtype)
        layer = HiddenLayer(convolution, weight, norm, activation.negative_slope)
        hidden.append(layer)
        modules = modules[3:]

    weight = last.weight.to(dtype)
    return Critic(hidden, Layer(last, weight))
