import numpy as np
import torch
from torch import nn

from vestibule.translation import translate


class Negative(nn.Module):
    """Turns the sign, and refuses large batches as a full GPU would."""

    def __init__(self, most: int = 99) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(-1.0))
        self.most = most
        self.seen = []

    def forward(self, image):
        if len(image) > self.most:
            raise torch.cuda.OutOfMemoryError
        self.seen.append(len(image))
        return self.scale * image


def test_every_slice_is_translated_in_order():
    slices = np.random.default_rng(0).uniform(-1, 1, (11, 8, 6)).astype(np.float16)
    result = translate(Negative(), slices, batch_size=4)
    np.testing.assert_allclose(result, -slices.astype(np.float32))
    assert result.dtype == np.float32


def test_batches_are_halved_until_they_fit():
    network = Negative(most=3)
    slices = np.random.default_rng(0).uniform(-1, 1, (9, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(translate(network, slices, batch_size=8), -slices)
    assert network.seen == [2, 2, 2, 2, 1]


def test_training_mode_is_left_as_it_was():
    network = Negative()
    translate(network.train(), np.zeros((1, 4, 4), dtype=np.float32))
    assert network.training


def test_a_cpu_gets_one_large_slice_at_a_time_and_many_small_ones():
    network = Negative()
    translate(network, np.zeros((2, 256, 256), dtype=np.float32))
    assert network.seen == [1, 1]
    translate(network, np.zeros((9, 64, 64), dtype=np.float32))
    assert network.seen == [1, 1, 8, 1]
