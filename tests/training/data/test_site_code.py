"""A generator that is told a site: its look, its training, and what is refused."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from training.config import RunConfig, build
from training.data.intermediates import Translators
from training.data.looks import looks_of
from training.data.raw_cases import KnownCases, RawCase
from training.data.site_code import OfSite, SiteCoded, SiteNorm, code_of, with_code
from training.data.slices import read_cases
from training.gan.devices import make_fabric
from training.stage_table import CYCLEGAN, SYNTHESIS
from training.stages import cyclegan, synthesis
from vestibule.errors import InputError
from vestibule.files import read_json, write_json
from vestibule.networks import GeneratorConfig, build_generator


@pytest.fixture
def coded(config):
    """The tiny configuration with a site code, for arms that can have one."""
    return replace(config, arms=("direct", "blending"), cyclegan=replace(config.cyclegan, site_code=True))


@pytest.mark.parametrize("architecture", ["resnet", "unet", "resunet"])
def test_sites_begin_alike_and_differ_once_their_shifts_do(architecture):
    torch.manual_seed(0)
    plain = build_generator(GeneratorConfig(architecture, width=4, blocks=3)).eval()
    image = torch.rand(2, 1, 32, 32) * 2 - 1
    with torch.no_grad():
        expected = plain(image)
        generator = SiteCoded(plain, 2)
        first, second = (OfSite(generator, site, 2) for site in (0, 1))
        assert torch.equal(first(image), expected)
        assert torch.equal(second(image), expected)
        for module in generator.modules():
            if isinstance(module, SiteNorm):
                module.shift[1] = torch.linspace(-1, 1, module.shift.shape[1])
        assert torch.equal(first(image), expected)
        assert not torch.allclose(second(image), expected, atol=1e-3)
        # Every image of a batch has the look of its own site.
        both = generator(with_code(image, torch.eye(2)))
        assert torch.allclose(both[0], first(image)[0], atol=1e-6)
        assert torch.allclose(both[1], second(image)[1], atol=1e-6)


def test_code_is_1_at_the_place_of_the_cases_site(run_dir):
    etz, ldn, _ = read_cases(run_dir, "target")
    assert code_of([ldn, etz], ["etz", "ldn"]).tolist() == [[0, 1], [1, 0]]
    planes = with_code(torch.zeros(1, 1, 2, 3), torch.tensor([[0.0, 1.0]]))
    assert planes[0, :, 0, 0].tolist() == [0, 0, 1]
    assert planes.shape == (1, 3, 2, 3)


def test_every_term_of_the_losses_is_told_the_site_of_the_t2(coded):
    torch.manual_seed(0)
    settings = replace(coded.cyclegan, learning_rate=0.0)
    model = cyclegan.CycleGAN(settings, make_fabric("32-true"), sites=("etz", "ldn"))
    for module in model.source_to_target.modules():
        if isinstance(module, SiteNorm):
            torch.nn.init.normal_(module.shift)
    source, target = torch.rand(2, 2, 1, 32, 32) * 2 - 1
    code = torch.tensor([[1.0, 0.0], [0.0, 1.0]])

    def to_target(image):
        return model.source_to_target(with_code(image, code))

    with torch.no_grad():
        fake = to_target(source)
        judged = model.discriminator_target(with_code(fake, code))
        cycle = 10 * (to_target(model.target_to_source(target)) - target).abs().mean()
        kept = (to_target(target) - target).abs().mean() + (model.target_to_source(source) - source).abs().mean()
    losses = model.step(source, target, torch.zeros(2, 2, 2), None, code)
    assert float(losses["adversarial_ab"]) == pytest.approx(float((judged - 1).square().mean()), rel=1e-4)
    assert float(losses["cycle_b"]) == pytest.approx(float(cycle), rel=1e-4)
    assert float(losses["identity"]) == pytest.approx(float(5 * kept), rel=1e-4)


@pytest.fixture
def trained(coded, run_dir):
    """A run whose CycleGAN with a site code has seen a few slices."""
    cyclegan.train(coded, run_dir)
    record = {"config": {"cyclegan": asdict(coded.cyclegan)}, "outputs": {}}
    for name in ("config.json", "stage.json"):
        write_json(CYCLEGAN.folder(run_dir) / name, record)
    return run_dir


def test_trained_generator_gives_every_case_the_look_of_every_site(coded, trained):
    assert read_json(trained / "cyclegan" / "sites.json") == {"sites": ["etz", "ldn"]}
    looks = looks_of(coded, trained)
    assert [look.suffix for look in looks] == ["_etz", "_ldn"]
    # Altered copies are made in one look by turns.
    assert [[look.has_turn(number) for look in looks] for number in range(2)] == [[True, False], [False, True]]
    SYNTHESIS.folder(trained).mkdir()
    synthesis.synthesise(coded, trained)
    cases = read_cases(trained, "source", SYNTHESIS)
    assert [case.name for case in cases[:2]] == ["case_0_etz", "case_0_ldn"]
    assert len(cases) == 6
    assert not np.array_equal(cases[0].image, cases[1].image)
    translators = Translators(trained)
    source = np.asarray(read_cases(trained, "source")[0].image, np.float32)
    of_first = translators(CYCLEGAN, "source_to_target", source)
    np.testing.assert_array_equal(of_first, translators(CYCLEGAN, "source_to_target", source, "etz"))
    # The way back is told nothing.
    assert translators(CYCLEGAN, "target_to_source", source).shape == source.shape


@pytest.mark.parametrize(
    ("names", "cause"),
    [
        (["crossmoda2022_etz_1", "anybody"], "anybody: its name tells no site"),
        (["crossmoda2022_etz_1", "crossmoda2022_etz_2"], "needs T2 cases of several sites, and there is etz"),
        (["crossmoda2022_etz_1", "crossmoda2021_ldn_2"], None),
    ],
)
def test_t2_that_does_not_tell_several_sites_is_refused_at_the_start(coded, tmp_path, names, cause):
    cases = tuple(RawCase(name, "target", tmp_path, None) for name in names)
    known = KnownCases(tmp_path, cases)
    if cause is None:
        cyclegan.check(coded, known)
        return
    with pytest.raises(InputError, match=cause):
        cyclegan.check(coded, known)


@pytest.mark.parametrize(
    ("edition", "arm", "cause"),
    [
        (2021, "direct", r"cyclegan\.site_code is for editions with several sites, and 2021 has ldn alone"),
        (2023, "oneshot", "the arm 'oneshot' transfers tumours into one"),
    ],
)
def test_code_without_several_sites_or_with_one_look_of_b_is_refused(edition, arm, cause):
    whole = {"name": "x", "intended_use": "phantom", "edition": edition, "arms": [arm]}
    whole |= {"cyclegan": {"site_code": True}, "pix2pix": {"generator": {}}}
    with pytest.raises(ValueError, match=cause):
        build(RunConfig, whole, "")
