import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import label as label_components

from vestibule.components import ComponentRule, keep_components
from vestibule.editions import get_edition
from vestibule.pipeline import load_model
from vestibule.volume import Geometry, Volume

EDITION = get_edition(2023)


@pytest.fixture
def labels():
    """A tumour of both parts in 9 + 4 + 2 voxels, and two cochleae of 3 and 1."""
    labels = np.zeros((2, 12, 12), np.uint8)
    labels[0, 1:4, 1:4] = 1
    labels[0, 1, 1:4] = 2
    labels[1, 8:10, 8:10] = 1
    labels[0, 11, 0:2] = 2
    labels[1, 0, 5:8] = 3
    labels[1, 5, 5] = 3
    return labels


def counts(labels):
    return [int(EDITION.mask_of(labels, structure).sum()) for structure in ("vs", "cochlea")]


@pytest.mark.parametrize(
    ("rule", "tumour"),
    [
        (ComponentRule(), 15),
        (ComponentRule(most=1), 9),
        (ComponentRule(most=2), 13),
        (ComponentRule(most=7), 15),
        # Voxels of half a mm³: 4.5, 2 and 1 mm³.
        (ComponentRule(min_mm3=2.0), 13),
        (ComponentRule(most=1, min_mm3=2.0), 9),
        (ComponentRule(min_mm3=3.0), 9),
    ],
)
def test_parts_are_kept_by_number_and_volume_and_other_structures_stay(labels, rule, tumour):
    kept = keep_components(labels, {"vs": rule}, EDITION, 0.5)
    assert counts(kept) == [tumour, 4]
    assert kept.dtype == np.uint8
    assert counts(labels) == [15, 4]


def test_no_rule_empties_a_mask(labels):
    huge = ComponentRule(min_mm3=1e6)
    assert counts(keep_components(labels, {"vs": huge, "cochlea": huge}, EDITION, 0.5)) == [9, 3]


def test_without_rules_or_parts_the_labels_are_the_same_object(labels):
    assert keep_components(labels, {}, EDITION, 1.0) is labels
    empty = np.zeros_like(labels)
    assert keep_components(empty, {"vs": ComponentRule(most=1)}, EDITION, 1.0) is empty


def test_of_two_equal_parts_the_first_stays(labels):
    labels[:] = 0
    labels[0, 2, 2] = labels[1, 9, 9] = 1
    kept = keep_components(labels, {"vs": ComponentRule(most=1)}, EDITION, 1.0)
    assert kept[0, 2, 2] == 1
    assert kept.sum() == 1


def test_parts_of_a_tumour_that_meet_are_one_part_whatever_their_labels(labels):
    kept = keep_components(labels, {"vs": ComponentRule(most=1)}, EDITION, 1.0)
    assert sorted(np.unique(kept[0, 1:4, 1:4]).tolist()) == [1, 2]


@pytest.mark.parametrize("values", [{"most": 0}, {"most": 1.5}, {"most": True}, {"min_mm3": -1}, {"min_mm3": "1"}])
def test_rule_that_means_nothing_is_refused(values):
    with pytest.raises(ValueError, match="must be a"):
        ComponentRule(**values)


def two_blobs(image, spacing):
    """Stands for a network: a tumour of 8 voxels and one of 1, far apart."""
    tumour = np.zeros(image.shape, np.float32)
    tumour[1:3, 8:10, 8:10] = tumour[2, 20, 20] = 1
    return np.stack([1 - tumour, tumour, np.zeros_like(tumour)])


@pytest.mark.parametrize(("components", "parts"), [(None, 2), ({}, 2), ({"vs": {"most": 1, "min_mm3": 0.0}}, 1)])
def test_model_keeps_the_parts_that_its_bundle_names_and_all_where_it_names_none(
    tiny_bundle, tmp_path, components, parts
):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    if components is not None:
        manifest["networks"]["oneshot"]["segmenter"]["components"] = components
    (bundle / "manifest.json").write_text(json.dumps(manifest))

    model = load_model(bundle, "oneshot", "cpu")
    model = replace(model, translator=None, segmenter=SimpleNamespace(probabilities=two_blobs))
    geometry = Geometry((4, 32, 32), (3.0, 2.0, 2.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    image = Volume(np.random.default_rng(0).random(geometry.size_zyx, np.float32), geometry)
    mask = model.run(image)
    assert mask.geometry == image.geometry
    found = label_components(mask.voxels == 1)[1]
    assert found == parts
