"""Items in processes of their own; expressions stand for items, so that a child needs no module of the tests."""

import contextlib
import multiprocessing.context

import pytest

from evaluation.scoring.processes import default_workers, each_in_a_process, kept_processes
from vestibule.cli import main
from vestibule.errors import InputError


def test_every_item_comes_back_with_its_result() -> None:
    assert dict(each_in_a_process(eval, ["1 + 1", "2 + 2", "3 + 3"], 2)) == {"1 + 1": 2, "2 + 2": 4, "3 + 3": 6}


def test_an_item_that_kills_its_process_is_the_only_one_lost() -> None:
    deadly = "__import__('os')._exit(9)"
    assert dict(each_in_a_process(eval, ["1", deadly, "2", "3"], 1)) == {"1": 1, deadly: None, "2": 2, "3": 3}


def test_kept_processes_are_handed_on_and_one_that_dies_is_replaced() -> None:
    whose = "__import__('os').getpid()"
    deadly = "__import__('os')._exit(9)"

    def process_of_a_call() -> int:
        ((_, process),) = each_in_a_process(eval, [whose], 1)
        return process

    with kept_processes():
        first = process_of_a_call()
        assert process_of_a_call() == first
        assert dict(each_in_a_process(eval, [deadly, "1"], 1)) == {deadly: None, "1": 1}
        later = process_of_a_call()
        assert later != first
    assert process_of_a_call() != later


def test_an_exception_of_the_work_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        list(each_in_a_process(eval, ["1 / 0", "1"], 1))


def test_there_are_no_more_processes_than_items_and_always_one() -> None:
    assert default_workers(1) == 1
    assert default_workers(0) == 1


def test_a_system_that_lets_processes_share_nothing_is_named_with_the_way_out(monkeypatch) -> None:
    def refused(self):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(multiprocessing.context.BaseContext, "Lock", refused)
    with pytest.raises(InputError, match=r"/dev/shm: .*Read-only file system.*--workers 1"):
        list(each_in_a_process(abs, [-1], 2))
    assert list(each_in_a_process(abs, [-1], None)) == [(-1, 1)]


@pytest.mark.parametrize("command", [("evaluate", "p", "r", "out", "--no-report"), ("screen", "p"), ("measure", "p")])
def test_where_nothing_can_be_shared_one_worker_still_works(
    command, save, labels, tmp_path, monkeypatch, capsys
) -> None:
    def refused(self):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(multiprocessing.context.BaseContext, "Lock", refused)
    monkeypatch.chdir(tmp_path)
    for folder in ("p", "r"):
        save(folder, "crossmoda2022_ldn_1", labels)
    ends = {}
    for workers in ("1", "2"):
        monkeypatch.setattr("sys.argv", ["vestibule", *command, "--workers", workers])
        with contextlib.suppress(SystemExit):
            main()
        ends[workers] = capsys.readouterr().err.splitlines()[-1:]
    assert "/dev/shm" not in str(ends["1"])
    assert "/dev/shm: processes cannot share the cases (Read-only file system); use --workers 1" in ends["2"][0]
