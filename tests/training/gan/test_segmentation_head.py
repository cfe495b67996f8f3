import pytest
import torch

from training.gan.segmentation_head import SegmentationHead


def slices_with_a_tumour(seed, contrast):
    """Noise (4, 1, 32, 32) with a square of `contrast` above it, and the label of the square, of value 3."""
    generator = torch.Generator().manual_seed(seed)
    image = 0.1 * torch.randn(4, 1, 32, 32, generator=generator)
    labels = torch.zeros_like(image)
    for number in range(4):
        top, left = torch.randint(4, 20, (2,), generator=generator).tolist()
        labels[number, 0, top : top + 8, left : left + 8] = 3
    return image + contrast * (labels > 0), labels


@pytest.fixture(scope="module")
def trained():
    """A head that was trained on slices with visible tumours."""
    torch.manual_seed(0)
    head = SegmentationHead([3])
    optimiser = torch.optim.Adam(head.parameters(), 3e-3)
    for seed in range(60):
        optimiser.zero_grad()
        head(*slices_with_a_tumour(seed, 1.0)).backward()
        optimiser.step()
    return head


def test_erasing_a_tumour_costs_more_than_keeping_it(trained):
    with torch.no_grad():
        kept = float(trained(*slices_with_a_tumour(100, 1.0)))
        erased = float(trained(*slices_with_a_tumour(100, 0.0)))
    assert kept < 0.5 * erased


def test_it_finds_the_tumour_that_it_was_trained_on(trained):
    image, labels = slices_with_a_tumour(101, 1.0)
    found = trained.found(image) > 0
    overlap = (found & (labels > 0)).sum()
    dice = 2 * overlap / (found.sum() + (labels > 0).sum())
    assert float(dice) > 0.8


def test_the_gradient_reaches_what_made_the_image(trained):
    image, labels = slices_with_a_tumour(102, 0.0)
    image.requires_grad_()
    trained(image, labels).backward()
    # Downhill is brighter where the tumour is missing.
    inside = image.grad[labels > 0].mean()
    assert float(inside) < 0


def test_a_slice_without_any_structure_has_a_finite_loss(trained):
    loss = trained(torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32))
    assert torch.isfinite(loss)


def test_values_that_do_not_follow_each_other_are_classes_of_their_own():
    head = SegmentationHead([1, 4])
    assert head.network(torch.zeros(1, 1, 32, 32)).shape == (1, 3, 32, 32)
