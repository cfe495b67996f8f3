import errno
import re
from pathlib import Path

import pytest

from training.gan.logs import LossLog
from vestibule.errors import InputError


def rows(folder):
    return [line.split(",") for line in (folder / "losses.csv").read_text().splitlines()]


def test_resumed_log_drops_what_will_be_written_again_and_goes_on_in_time(tmp_path):
    log = LossLog(tmp_path, ("loss",))
    for iteration in (10, 20, 30):
        log.write(iteration, {"loss": 1.0 / iteration})
    log.close()
    path = tmp_path / "losses.csv"
    path.write_text(re.sub(r"^20,[0-9.]+", "20,100.0", path.read_text(), flags=re.MULTILINE))
    resumed = LossLog(tmp_path, ("loss",), first_iteration=20)
    resumed.write(30, {"loss": 7.0})
    resumed.close()
    assert [row[0] for row in rows(tmp_path)] == ["iteration", "10", "20", "30"]
    assert rows(tmp_path)[-1][2] == "7"
    assert float(rows(tmp_path)[-1][1]) >= 100


def test_new_log_starts_over(tmp_path):
    for _ in range(2):
        log = LossLog(tmp_path, ("loss",))
        log.write(1, {"loss": 0.5})
        log.close()
    assert len(rows(tmp_path)) == 2
    assert list((tmp_path / "tensorboard").iterdir())


def test_half_a_row_of_a_killed_process_is_dropped(tmp_path):
    log = LossLog(tmp_path, ("loss",))
    log.write(100, {"loss": 0.5})
    log.close()
    path = tmp_path / "losses.csv"
    path.write_text(path.read_text() + "15")
    resumed = LossLog(tmp_path, ("loss",), first_iteration=100)
    resumed.write(150, {"loss": 0.25})
    resumed.close()
    assert [row[0] for row in rows(tmp_path)] == ["iteration", "100", "150"]


@pytest.mark.parametrize("place", ["table", "tensorboard"])
def test_full_disk_is_named(tmp_path, monkeypatch, place):
    log = LossLog(tmp_path, ("loss",))

    def refuse(*arguments, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    if place == "table":
        monkeypatch.setattr(Path, "open", refuse)
    else:
        monkeypatch.setattr(log._tensorboard.experiment, "add_scalar", refuse)
    with pytest.raises(InputError, match=rf"{tmp_path.name}.*: cannot be written .*No space left on device"):
        log.write(1, {"loss": 0.5})
