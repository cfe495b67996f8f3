"""Each step in tensors, held against the step that it repeats."""

import json
import shutil

import numpy as np
import pytest
import torch
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape
from scipy import ndimage
from skimage.transform import resize

from vestibule.components import ComponentRule, keep_components
from vestibule.editions import get_edition
from vestibule.exchange.monai import scripted
from vestibule.exchange.scripted.axes import Interpolation, Percentile, Resizing, Smoothing
from vestibule.exchange.scripted.ears import Ears, Head
from vestibule.exchange.scripted.parts import KeptParts, Parts
from vestibule.exchange.scripted.prediction import Region, ToWorking
from vestibule.exchange.scripted.segmenter import Resampling
from vestibule.head import head_outline
from vestibule.interpolation import axis_weights
from vestibule.pipeline import load_model
from vestibule.preprocessing import PreprocessingConfig, labels_to_original, to_working, working_geometry
from vestibule.region import find_ears
from vestibule.volume import Geometry, Volume, reorient
from vestibule.weights import open_bundle

AXES = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def scan(expected):
    """The phantom with axes LPS."""
    return reorient(expected.scan)


def tensors(volume):
    """Voxels and spacing of a volume as the steps take them."""
    voxels = torch.from_numpy(np.ascontiguousarray(volume.voxels, dtype=np.float32))
    return voxels, torch.tensor(volume.geometry.spacing_zyx, dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.0, 0.7, 2.0])
def test_weights_of_an_axis(sigma):
    positions = np.array([-0.6, -0.5, 0.0, 2.25, 7.9, 8.5, 9.0])
    found = Interpolation()(torch.from_numpy(positions), 9, sigma)
    np.testing.assert_allclose(found.numpy(), axis_weights(positions, 9, sigma).toarray(), atol=1e-7)


@pytest.mark.parametrize("size", [1, 2, 9])
def test_smoothing_reflects_at_the_ends(random, size):
    values = random.normal(size=size)
    matrix = Smoothing()(size, 0.5, torch.zeros(1))
    np.testing.assert_allclose(matrix.numpy() @ values, ndimage.gaussian_filter(values, 0.5), atol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize(("size", "wanted"), [(9, 13), (13, 9), (7, 7)])
def test_resizing_is_skimage_s(random, order, size, wanted):
    values = random.normal(size=size)
    matrix = Resizing()(size, wanted, order, torch.zeros(1))
    found = np.clip(matrix.numpy() @ values, values.min(), values.max())
    np.testing.assert_allclose(found, resize(values, (wanted,), order, mode="edge", anti_aliasing=False), atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.5, 37.0, 99.8, 100.0])
def test_percentiles_are_numpy_s(random, share):
    values = random.normal(size=(3, 5, 7)).astype(np.float32)
    assert Percentile()(torch.from_numpy(values), share) == pytest.approx(np.percentile(values, share), abs=1e-6)


def test_parts_are_scipy_s(random):
    mask = random.random((6, 20, 20)) < 0.35
    numbers = Parts()(torch.from_numpy(mask)).numpy()
    expected, count = ndimage.label(mask)
    pairs = set(zip(numbers[mask].tolist(), expected[mask].tolist(), strict=True))
    assert len(pairs) == count > 20
    assert not numbers[~mask].any()
    # Earlier parts have higher numbers.
    order = sorted(pairs, key=lambda pair: -pair[0])
    assert [part for _, part in order] == list(range(1, count + 1))


@pytest.mark.parametrize("rule", [ComponentRule(most=1), ComponentRule(most=3), ComponentRule(min_mm3=5.0)])
@pytest.mark.parametrize("structure", ["vs", "cochlea"])
def test_parts_are_kept_by_the_same_rule(random, rule, structure):
    labels = random.choice([0, 0, 0, 0, 1, 2], size=(5, 16, 16)).astype(np.uint8)
    edition = get_edition(2022)
    found = KeptParts(structure, rule, edition)(torch.from_numpy(labels), 1.5)
    expected = keep_components(labels, {structure: rule}, edition, 1.5)
    assert (expected != labels).any()
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize(("old", "new"), [((2.0, 1.0, 1.5), (1.0, 1.0, 1.0)), ((4.0, 1.0, 1.0), (3.0, 0.8, 1.2))])
def test_volumes_are_resampled_as_nnunet_does(random, order, old, new):
    options = {"is_seg": False, "order": order, "order_z": 0, "force_separate_z": None}
    volume = random.normal(size=(2, 6, 9, 8)).astype(np.float32)
    shape = [round(size * a / b) for size, a, b in zip(volume.shape[1:], old, new, strict=True)]
    steps = (torch.tensor(old, dtype=torch.float64), torch.tensor(new, dtype=torch.float64))
    found = Resampling(options)(torch.from_numpy(volume), shape, *steps)
    expected = resample_data_or_seg_to_shape(volume, shape, old, new, **options)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_the_head_and_the_ears_are_those_of_the_region(scan):
    outline, steps = Head()(*tensors(scan))
    expected, expected_steps = head_outline(scan, "blocks")
    np.testing.assert_array_equal(outline.numpy(), expected)
    assert tuple(steps.tolist()) == expected_steps
    np.testing.assert_allclose(Ears()(*tensors(scan)), find_ears(scan), atol=1e-6)


def test_no_ears_where_the_head_s_back_is_cut_off(scan):
    z, _, x = (slice(0, size) for size in scan.geometry.size_zyx)
    for rows in (slice(0, 60), slice(0, 110)):
        part = scan.part((z, rows, x))
        found = find_ears(part)
        np.testing.assert_allclose(Ears()(*tensors(part)), [] if found is None else found, atol=1e-6)
    assert find_ears(scan.part((z, slice(0, 60), x))) is None


@pytest.mark.parametrize("centre", ["head", "bright"])
def test_the_working_volume_is_the_same(scan, expected, centre):
    values = {"spacing_yx_mm": [1.5, 1.3], "size_yx": [40, 64], "centre": centre}
    config = PreprocessingConfig.from_bundle(values)
    voxels, spacing = tensors(scan)
    rows, columns = Region(config)(voxels, spacing)
    found = ToWorking(config)(voxels, rows, columns, spacing)
    np.testing.assert_allclose(found.numpy(), to_working(scan, config).voxels, atol=1e-5)


def test_a_region_that_is_not_found_is_larger(random):
    noise = random.normal(size=(6, 40, 44)).astype(np.float32)
    volume = Volume(noise, Geometry(noise.shape, (3.0, 2.0, 2.0), (0.0, 0.0, 0.0), AXES))
    config = PreprocessingConfig(size_yx=(16, 24))
    with pytest.warns(UserWarning, match="no outline of a head"):
        rows, columns = Region(config)(*tensors(volume))
    geometry = working_geometry(volume, config)
    assert (len(rows), len(columns)) == geometry.size_zyx[1:] == (32, 48)
    first = volume.geometry.to_index(np.array(geometry.origin_xyz))
    np.testing.assert_allclose([float(columns[0]), float(rows[0])], first[:2], atol=1e-9)


def test_labels_come_back_to_the_image_s_own_voxels(random):
    geometry = Geometry((3, 30, 28), (2.0, 1.0, 1.1), (0.0, 0.0, 0.0), AXES)
    image = Volume(np.zeros(geometry.size_zyx, dtype=np.float32), geometry)
    config = PreprocessingConfig(size_yx=(12, 12), spacing_yx_mm=(2.0, 1.8), centre="bright")
    rows, columns = Region(config)(*tensors(image))
    shares = random.dirichlet([1, 1, 1], size=(3, 12, 12)).transpose(3, 0, 1, 2).astype(np.float32)
    found = ToWorking(config).labels(torch.from_numpy(shares), rows, columns, 30, 28)
    expected = labels_to_original(shares, working_geometry(image, config), image).voxels
    assert set(np.unique(expected)) == {0, 1, 2}
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("spacing_z", [3.0, 2.0, 7.0])
def test_a_mirrored_segmenter_of_volumes_gives_the_same_probabilities(tiny_bundle, tmp_path, random, spacing_z):
    """Several windows a side; the slices of two images are not as far apart as planned."""
    path = changed_bundle(tiny_bundle, tmp_path / "bundle", mirror_axes=[0, 2])
    model = load_model(path, device="cpu")
    t1 = random.uniform(-1, 1, size=(9, 32, 28)).astype(np.float32)
    expected = model.segmenter.probabilities(t1, (spacing_z, 2.0, 2.0))
    with torch.inference_mode():
        steps = torch.tensor([spacing_z, 2.0, 2.0], dtype=torch.float64)
        found = scripted(open_bundle(path), model).segmenter(torch.from_numpy(t1), steps)
    # Logits are kept in half precision.
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)
    assert np.abs(found.numpy() - expected).mean() < 1e-4


def changed_bundle(bundle, path, **changes):
    """A copy of the tiny bundle with other settings of its segmenters."""
    shutil.copytree(bundle, path)
    manifest = json.loads((path / "manifest.json").read_text())
    for networks in manifest["networks"].values():
        networks["segmenter"] |= changes
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path
