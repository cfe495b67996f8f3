"""A short part of the load, and whether growth would be seen."""

import dataclasses

import pytest

from tests.reliability.load.watched import Sample, course_of
from tests.reliability.load.work import AT_ONCE, digests, predict, serve, write_cases, write_images

FLAT = [Sample(seconds=done / 10, done=done, memory_bytes=500 << 20, handles=9) for done in range(100)]


def test_a_server_under_requests_and_a_batch_in_another_order_give_the_same_masks(tiny_bundle, tmp_path):
    images = write_images(tmp_path / "images")
    named = write_cases(tmp_path / "cases", images, 12, seed=0)
    assert predict(tmp_path / "cases", tmp_path / "masks", tiny_bundle, 12) is None
    masks = digests(tmp_path / "masks", named)
    assert {len(sums) for sums in masks.values()} == {1}

    others = write_cases(tmp_path / "others", images, 7, seed=1)
    answers, _ = serve(tmp_path / "others", tmp_path / "served", tiny_bundle, AT_ONCE, False)
    assert answers == [201] * AT_ONCE
    assert digests(tmp_path / "served", others) == masks


def test_a_flat_course_has_no_faults():
    assert course_of(FLAT, 100).faults == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda sample: {"memory_bytes": sample.memory_bytes + sample.done * (1 << 20)}, "memory grew by 79 MiB"),
        (lambda sample: {"handles": 9 + sample.done // 10}, "handles grew from 11 to 18"),
        (lambda sample: {"seconds": sample.done**2 / 1000}, "pace fell"),
    ],
)
def test_what_grows_is_named(change, fault):
    samples = [dataclasses.replace(sample, **change(sample)) for sample in FLAT]
    (told,) = course_of(samples, 100).faults
    assert told.startswith(fault)


def test_too_few_samples_tell_nothing():
    with pytest.raises(ValueError, match="too few"):
        course_of(FLAT[:15], 100)
