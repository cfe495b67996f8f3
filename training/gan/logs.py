"""Losses of a stage, as CSV and for TensorBoard."""

from __future__ import annotations

import csv
import time
from pathlib import Path

from training.gan.ranks import leader_only
from training.status import measured
from vestibule.errors import InputError
from vestibule.files import atomic


class LossLog:
    """Writes one row of scalars an interval, to `losses.csv` and to TensorBoard files in `tensorboard/`.

    Of several processes that train together, the first one writes.
    """

    def __init__(self, folder: Path, columns: tuple[str, ...], first_iteration: int = 0) -> None:
        """Rows of an earlier try after `first_iteration` are dropped: they will be written again."""
        # Here, since it takes seconds to import, and what applies a model reads this module too.
        from lightning_fabric.loggers import TensorBoardLogger

        self.folder = folder
        self._path = folder / "losses.csv"
        self._columns = columns
        self._tensorboard = TensorBoardLogger(folder, name="tensorboard", version="", purge_step=first_iteration)
        self._begin = time.monotonic()
        self._start_table(first_iteration)

    @leader_only
    def _start_table(self, first_iteration: int) -> None:
        # Fabric's CSVLogger deletes what an earlier try wrote, and its columns are in the order of the alphabet.
        kept = []
        if first_iteration and self._path.is_file():
            # Later rows will be written again.
            with self._path.open(newline="", encoding="utf-8") as stream:
                for row in csv.DictReader(stream):
                    # A killed process may have left half of a row, whose iteration has lost digits.
                    is_whole = None not in row.values()
                    if is_whole and int(row["iteration"]) <= first_iteration:
                        kept.append(row)
        if kept:
            last = kept[-1]
            self._begin -= float(last["seconds"])

        with atomic(self._path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
            table = csv.DictWriter(stream, ["iteration", "seconds", *self._columns])
            table.writeheader()
            table.writerows(kept)

    @leader_only
    def write(self, iteration: int, values: dict[str, float]) -> None:
        """Append the values of one interval; `iteration` counts from 1. Raises InputError where the disk refuses."""
        measured(values)
        seconds = time.monotonic() - self._begin
        shown = []
        for name in self._columns:
            value = values[name]
            shown.append(f"{value:.6g}")

        try:
            with self._path.open("a", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerow([iteration, round(seconds, 2), *shown])
            self._tensorboard.log_metrics(values, iteration)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written ({error.strerror or error})") from error
        except ValueError as error:
            # Fabric takes whatever TensorBoard raises for a value that it does not know.
            cause = error.__cause__
            if not isinstance(cause, OSError):
                raise
            raise InputError(f"{self.folder}: cannot be written to ({cause.strerror or cause})") from error

    def close(self) -> None:
        """Write out what is buffered."""
        self._tensorboard.finalize("success")
