import os
from operator import add

from training.parallel import side_by_side


def test_one_worker_does_all_jobs_here_in_their_order():
    assert side_by_side(add, [(1, 2), (3, 4)], workers=1) == [3, 7]
    assert side_by_side(os.getpid, [()]) == [os.getpid()]


def test_two_workers_are_other_processes():
    assert os.getpid() not in side_by_side(os.getpid, [(), ()], workers=2)
    assert side_by_side(add, [("a", "b"), ("c", "d"), ("e", "f")], workers=2) == ["ab", "cd", "ef"]
