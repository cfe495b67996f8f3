"""Losses of a stage, as CSV and for TensorBoard."""

from __future__ import annotations

import csv
import time
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from training.gan.distributed import leads


class LossLog:
    """Writes one row of scalars an interval, to `losses.csv` and to TensorBoard files in `tensorboard/`.

    Of several processes that train together, the first one writes.
    """

    def __init__(self, folder: Path, columns: tuple[str, ...], first_iteration: int = 0) -> None:
        """Rows of an earlier try after `first_iteration` are dropped: they will be written again."""
        self._writes = leads()
        if not self._writes:
            return
        self._path = folder / "losses.csv"
        self._columns = columns
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first_iteration)
        kept = []
        if first_iteration and self._path.is_file():
            with self._path.open(newline="", encoding="utf-8") as stream:
                kept = [row for row in csv.reader(stream) if row[0].isdigit() and int(row[0]) <= first_iteration]
        self._begin = time.monotonic() - (float(kept[-1][1]) if kept else 0.0)
        with self._path.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([["iteration", "seconds", *columns], *kept])

    def write(self, iteration: int, values: dict[str, float]) -> None:
        """Append the values of one interval; `iteration` counts from 1."""
        if not self._writes:
            return
        row = [iteration, round(time.monotonic() - self._begin, 2), *(f"{values[name]:.6g}" for name in self._columns)]
        with self._path.open("a", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerow(row)
        for name in self._columns:
            self._writer.add_scalar(name, values[name], iteration)

    def close(self) -> None:
        """Flush what is buffered."""
        if not self._writes:
            return
        self._writer.close()
