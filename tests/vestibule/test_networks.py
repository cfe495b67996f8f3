import pytest
import torch

from vestibule.networks import GeneratorConfig, InstanceNorm, RowConv2d, build_generator, generator_to_dict


def count(config: GeneratorConfig) -> int:
    return sum(p.numel() for p in build_generator(config).parameters())


def test_published_sizes_give_the_published_numbers_of_parameters():
    assert count(GeneratorConfig("resnet", 64, 9)) == 11_365_633
    assert round(count(GeneratorConfig("unet", 64, 8)) / 1e6, 1) == 54.4


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (GeneratorConfig("resnet", 4, 1), (32, 20)),
        (GeneratorConfig("resunet", 4, 1), (32, 24)),
        (GeneratorConfig("unet", 4, 3), (32, 24)),
        (GeneratorConfig("unet", 4, 5, 0.5), (32, 32)),
    ],
)
def test_generator_keeps_the_size_and_stays_in_range(config, size):
    output = build_generator(config)(5 * torch.randn(2, 1, *size))
    assert output.shape == (2, 1, *size)
    assert output.abs().max() <= 1


@pytest.mark.parametrize(
    "config", [GeneratorConfig("resnet", 4, 1), GeneratorConfig("unet", 8, 3), GeneratorConfig("resunet", 6, 1)]
)
def test_generator_overfits_one_slice(config):
    torch.manual_seed(0)
    network = build_generator(config)
    source, target = torch.nn.functional.interpolate(torch.randn(2, 1, 4, 4), scale_factor=8.0).tanh()[:, None]
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    errors = []
    for _ in range(120):
        optimiser.zero_grad()
        loss = (network(source) - target).abs().mean()
        loss.backward()
        optimiser.step()
        errors.append(float(loss.detach()))
    assert errors[-1] < 0.2 * errors[0]


@pytest.mark.parametrize("channels", [(1, 5), (5, 1)])
def test_convolution_by_rows_is_the_ordinary_convolution(channels):
    by_rows, plain = RowConv2d(*channels, 7).double(), torch.nn.Conv2d(*channels, 7).double()
    plain.load_state_dict(by_rows.state_dict())
    image = torch.randn(2, channels[0], 20, 17, dtype=torch.double)
    assert torch.allclose(by_rows(image), plain(image), rtol=0, atol=1e-12)


def test_instance_norm_is_that_of_torch():
    features = 3 * torch.randn(2, 5, 8, 6, dtype=torch.double) + 1
    expected = torch.nn.InstanceNorm2d(5)(features)
    assert torch.allclose(InstanceNorm(5)(features), expected, rtol=0, atol=1e-12)


def test_unet_reaches_across_the_whole_slice():
    network = build_generator(GeneratorConfig("unet", 4, 5)).double()
    image = torch.randn(1, 1, 32, 32, dtype=torch.double, requires_grad=True)
    network(image)[0, 0, 0, 0].backward()
    assert image.grad[0, 0, 31, 31] != 0


def test_configuration_survives_the_way_through_a_manifest():
    config = GeneratorConfig("unet", 16, 6, 0.5)
    assert GeneratorConfig(**generator_to_dict(config)) == config
    assert config.stride == 64


@pytest.mark.parametrize("values", [{"architecture": "vit"}, {"width": 0}, {"blocks": 0}])
def test_impossible_configuration_is_refused(values):
    with pytest.raises(ValueError, match="must be"):
        GeneratorConfig(**values)
