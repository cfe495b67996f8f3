"""Which job begins when, on machines of some GPUs: by hand-made graphs."""

from training.cluster.makespan import makespan
from training.cluster.schedule import Machine, Schedule
from training.config import ResourcesConfig

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
SECONDS = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 1.0}


def started(schedule):
    names = []
    while job := schedule.next():
        names.append(job.name)
    return names


def test_job_begins_once_all_that_it_needs_is_done(graph_of):
    schedule = Schedule(graph_of(DIAMOND), Machine(4, 4))
    assert started(schedule) == ["a"]
    schedule.end("a", True)
    assert sorted(started(schedule)) == ["b", "c"]
    schedule.end("b", True)
    assert started(schedule) == []
    schedule.end("c", True)
    assert started(schedule) == ["d"]


def test_longest_way_to_the_end_comes_first_where_there_is_no_room_for_both(graph_of):
    schedule = Schedule(graph_of(DIAMOND), Machine(1, 4), SECONDS)
    started(schedule)
    schedule.end("a", True)
    assert started(schedule) == ["c"]


def test_failed_job_stops_what_needs_it_and_nothing_else(graph_of):
    schedule = Schedule(graph_of({**DIAMOND, "e": ("d",), "f": ("c",)}), Machine(4, 4))
    started(schedule)
    schedule.end("a", True)
    started(schedule)
    assert schedule.end("b", False) == ["d", "e"]
    schedule.end("c", True)
    assert started(schedule) == ["f"]
    assert not schedule.waiting


def test_job_that_asks_for_more_than_the_machine_has_gets_all_of_it(graph_of):
    greedy = graph_of({"a": (), "b": ()}, {"a": ResourcesConfig(gpus=8, cpus=99)})
    schedule = Schedule(greedy, Machine(0, 2))
    assert started(schedule) == ["a"]
    schedule.end("a", True)
    assert started(schedule) == ["b"]


def test_makespan_is_the_longest_way_on_many_gpus_and_the_sum_on_one(graph_of):
    graph = graph_of(DIAMOND)
    assert makespan(graph, Machine(1, 99), SECONDS) == 7.0
    # a, then c beside b, then d
    assert makespan(graph, Machine(2, 99), SECONDS) == 5.0
    assert makespan(graph, Machine(40, 99), SECONDS) == 5.0
