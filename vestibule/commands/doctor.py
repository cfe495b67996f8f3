"""The command `vestibule doctor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from vestibule import __version__
from vestibule.commands.options import json_option, write_result
from vestibule.doctor import BROKEN, GOOD, Finding, examine
from vestibule.errors import InputError
from vestibule.logs import say

MARKS = {GOOD: "ok  ", BROKEN: "FAIL"}
"""What stands before a finding; any other is a note."""


@click.command()
@json_option("what was found")
def doctor(json_path: Path | None) -> None:
    """Look at this machine: versions, GPU, memory, disk, container engine, Slurm; what is wrong and what to do.

    Nothing is changed. Exit codes: 0 images can be segmented here, 1 something is broken.
    """
    findings = examine(Path.cwd())
    broken = [finding for finding in findings if finding.status == BROKEN]
    document = {
        "vestibule": __version__,
        "usable": not broken,
        "findings": [asdict(finding) for finding in findings],
    }
    if write_result(json_path, document):
        for line in _lines(findings):
            say(line)
    if broken:
        topics = ", ".join(finding.topic for finding in broken)
        raise InputError(f"no image can be segmented here: {topics}; {broken[0].remedy}")


def _lines(findings: list[Finding]) -> list[str]:
    """A line for each finding, and what to do beneath those that need it."""
    width = max(len(finding.topic) for finding in findings)
    beneath = " " * (width + 8)
    lines = []
    for finding in findings:
        mark = MARKS.get(finding.status, "note")
        lines.append(f"{mark}  {finding.topic.ljust(width)}  {finding.found}")
        if finding.remedy:
            lines.append(f"{beneath}-> {finding.remedy}")
    return lines
