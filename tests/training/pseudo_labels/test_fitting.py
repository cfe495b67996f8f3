import numpy as np
import pytest

from training.data.slices import PreparedCase
from training.pseudo_labels import ears
from training.pseudo_labels.ears import middle_of
from training.pseudo_labels.fitting import fit_cochleae, typical_cochlea, write_fitted
from vestibule.editions import get_edition

EDITION = get_edition(2021)
TUMOUR, COCHLEA = 1, 2
SPACING = (1.5, 1.2, 1.2)
VOXEL_MM3 = 1.5 * 1.2 * 1.2
SHAPE = (20, 40, 60)
CASES = 6


def ball(centre_zyx_mm, radius_mm):
    """Voxels (Z, Y, X) within a ball."""
    grid_mm = np.indices(SHAPE) * np.reshape(SPACING, (3, 1, 1, 1))
    return ((grid_mm - np.reshape(centre_zyx_mm, (3, 1, 1, 1))) ** 2).sum(axis=0) <= radius_mm**2


def cochlea_at(centre):
    """A cochlea that is not round: it has an end in front and below."""
    z, y, x = centre
    return ball((z, y, x), 2.6) | ball((z + 1.5, y - 2.4, x), 2.0)


def wide_at(centre):
    """A mask of both that is a millimetre too wide on all sides."""
    z, y, x = centre
    one = ball((z, y, x), 3.6) | ball((z + 1.5, y - 2.4, x), 3.0)
    return one | one[:, :, ::-1]


def both_sides(centre):
    """The same on both sides of the head, mirrored."""
    one = cochlea_at(centre)
    return one | one[:, :, ::-1]


def shown_at(centre):
    """T2: the cochlea's bright fluid lies on one side within it; a vestibule behind it, in dark bone."""
    z, y, x = centre
    one = np.where(ball((z, y, x + 0.8), 1.8), 0.6, -0.95)
    one = np.where(ball((z, y + 6.0, x + 1.0), 2.2), 0.9, one)
    return np.maximum(one, one[:, :, ::-1]).astype(np.float32)


@pytest.fixture
def save(tmp_path):
    """A prepared case with an image and a label."""

    def of(name, labels, image=None):
        label_path = tmp_path / f"{name}_label.npy"
        np.save(label_path, labels)
        image_path = tmp_path / f"{name}.npy"
        np.save(image_path, np.zeros(labels.shape) if image is None else image)
        return PreparedCase(name, "target", "", image_path, label_path, SPACING, (), ())

    return of


def labels_of(mask):
    return np.where(mask, COCHLEA, 0).astype(np.uint8)


@pytest.fixture
def labelled(save):
    """T1 cases whose cochleae lie here and there; their fluid is hardly brighter than bone."""
    rng = np.random.default_rng(0)
    cases = []
    for number in range(CASES):
        centre = np.array([13.0, 24.0, 16.0]) + rng.uniform(-2, 2, 3)
        t1 = 0.1 * shown_at(centre) - 0.8
        cases.append(save(f"t1_{number}", labels_of(both_sides(centre)), t1.astype(np.float32)))
    return cases


@pytest.fixture
def found(save):
    """T2 cases, masks of which each is too large and lies beside the truth, most of them in front; and the truth."""
    rng = np.random.default_rng(1)
    cases, true = [], []
    errors = rng.normal((0, -0.8, 0), 1.0, (CASES, 3))
    for number, error in enumerate(errors):
        centre = np.array([14.0, 23.0, 17.0]) + rng.uniform(-2, 2, 3)
        image = shown_at(centre) + rng.normal(0, 0.02, SHAPE).astype(np.float32)
        cases.append(save(f"t2_{number}", labels_of(wide_at(centre + error)), image))
        true.append(both_sides(centre))
    return cases, true


def overlap(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def mean_overlap(masks, true):
    return np.mean([overlap(mask == COCHLEA, other) for mask, other in zip(masks, true, strict=True)])


def test_masks_that_are_too_large_and_lie_beside_the_cochleae_are_put_right(labelled, found):
    cases, true = found
    fitted = fit_cochleae(cases, typical_cochlea(labelled, EDITION), EDITION)
    as_found = [np.asarray(case.labels) for case in cases]
    assert mean_overlap(as_found, true) < 0.8
    assert mean_overlap(fitted, true) > 0.9
    assert {mask.dtype for mask in fitted} == {np.dtype(np.uint8)}


def test_same_masks_are_fitted_in_every_run(labelled, found):
    cases = found[0][:2]
    typical = typical_cochlea(labelled, EDITION)
    once = fit_cochleae(cases, typical, EDITION)
    again = fit_cochleae(cases, typical, EDITION)
    assert all((first == second).all() for first, second in zip(once, again, strict=True))


def test_ear_that_is_not_believed_keeps_the_place_of_its_mask(labelled, found, save, monkeypatch):
    centre = np.array([14.0, 23.0, 17.0])
    typical = typical_cochlea(labelled, EDITION)
    labels = labels_of(both_sides(centre))
    expected = middle_of(cochlea_at(centre)) * SPACING
    # An image that is all alike tells no place; and none is believed that moves at all.
    blank = save("blank", labels, np.full(SHAPE, -0.95, np.float32))
    *_, unmoved = fit_cochleae([*found[0], blank], typical, EDITION)
    monkeypatch.setattr(ears, "FARTHEST_MM", 0.0)
    aside = save("aside", labels, shown_at(centre + np.array([0.0, 2.0, 0.0])))
    *_, disbelieved = fit_cochleae([*found[0], aside], typical, EDITION)
    for mask in (unmoved, disbelieved):
        # Within half a voxel.
        assert np.allclose(middle_of((mask == COCHLEA)[:, :, :30]) * SPACING, expected, atol=0.75)


def test_other_structures_keep_their_voxels_and_an_ear_without_a_cochlea_gets_none(labelled, save):
    centre = (14.0, 23.0, 17.0)
    tumour = ball((14.0, 26.0, 17.0), 3.0)
    labels = labels_of(cochlea_at(centre))
    labels[tumour] = TUMOUR
    (fitted,) = fit_cochleae([save("a", labels, shown_at(centre))], typical_cochlea(labelled, EDITION), EDITION)
    assert ((fitted == TUMOUR) == tumour).all()
    assert (fitted[:, :, :30] == COCHLEA).any()
    assert not (fitted[:, :, 30:] == COCHLEA).any()


def test_specks_of_a_mask_do_not_move_its_cochlea(labelled, found, save):
    cases, true = found
    first = cases[0]
    speckled = np.array(first.labels)
    speckled[1, 2:5, 2:5] = COCHLEA
    image = np.asarray(first.image)
    masks = fit_cochleae([save("speckled", speckled, image), *cases[1:]], typical_cochlea(labelled, EDITION), EDITION)
    assert np.allclose(middle_of(masks[0] == COCHLEA), middle_of(true[0]), atol=0.5)
    assert not (masks[0][1] == COCHLEA).any()


def test_typical_cochlea_is_that_of_labels_that_show_one(labelled, save):
    none = save("none", np.zeros(SHAPE, np.uint8))
    typical = typical_cochlea([*labelled, none], EDITION)
    volumes = [(np.asarray(case.labels) == COCHLEA).sum() / 2 * VOXEL_MM3 for case in labelled]
    assert typical.volume == pytest.approx(np.median(volumes))
    # Where all labels agree, and where none has a cochlea.
    assert typical.shape.max() > 0.95
    assert typical.shape[0, 0, 0] == 0
    assert typical_cochlea([none], EDITION) is None


def test_fitted_masks_are_written_beside_those_that_were_found(labelled, found, tmp_path):
    cases = found[0][:2]
    typical = typical_cochlea(labelled, EDITION)
    before = [np.array(case.labels) for case in cases]
    fitted = write_fitted(cases, fit_cochleae(cases, typical, EDITION), tmp_path / "fitted")
    assert [case.label_path for case in fitted] == [tmp_path / "fitted" / f"{case.name}.npy" for case in cases]
    voxels = 2 * round(typical.volume / VOXEL_MM3)
    assert {int((np.asarray(case.labels) == COCHLEA).sum()) for case in fitted} == {voxels}
    assert all((np.asarray(case.labels) == labels).all() for case, labels in zip(cases, before, strict=True))
    # Labels of T1 without cochleae tell no shape.
    unchanged = write_fitted(cases, fit_cochleae(cases, None, EDITION), tmp_path / "fitted")
    assert all((np.asarray(case.labels) == labels).all() for case, labels in zip(unchanged, before, strict=True))
