"""What a rehearsal found, as text."""

from __future__ import annotations

from training.rehearsal.rehearse import Forecast, Rehearsal

GB = 1e9
MINUTE, HOUR, DAY = 60, 3600, 86400


def lines_of(found: Rehearsal) -> list[str]:
    """A table of the stages, and what all of them will take."""
    cells: list[tuple[str, ...]] = [("stage", "will take", "cores", "memory", "GPU", "disk")]
    for stage in found.stages:
        cells.append(_row(stage))
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = []
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())

    for stage in found.failures:
        lines.append(f"{stage.stage}: {stage.failure}")
    cases = " and ".join(f"{count} {domain}" for domain, count in found.cases.items())
    lines.append(f"all stages, one after the other, on this machine, {cases} cases: {duration(found.seconds)}")
    disk = f"disk: {gigabytes(found.disk_bytes)} of {gigabytes(found.free_bytes)} free"
    if found.disk_bytes > found.free_bytes:
        disk += "; too little: make room, or name a folder on another disk with --run"
    lines.append(disk)
    return lines


def _row(stage: Forecast) -> tuple[str, ...]:
    if stage.seconds is None:
        taken = "would fail" if stage.rehearsed_seconds else "not tried"
    else:
        taken = duration(stage.seconds)
    cores = ""
    if stage.rehearsed_seconds:
        cores = f"{stage.cpu_seconds / stage.rehearsed_seconds:.1f}"
    memory = gigabytes(stage.memory_bytes) if stage.memory_bytes else ""
    gpu = gigabytes(stage.gpu_bytes) if stage.gpu_bytes else ""
    disk = gigabytes(stage.disk_bytes) if stage.disk_bytes is not None else ""
    return stage.stage, taken, cores, memory, gpu, disk


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < 2 * DAY:
        return f"{seconds / HOUR:.1f} h"
    return f"{seconds / DAY:.1f} days"


def gigabytes(size: int) -> str:
    """A size in GB."""
    return f"{size / GB:.2g} GB"
