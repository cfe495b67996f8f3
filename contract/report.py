"""What a check found: one finding a point of the contract, printed for people or as JSON. Standard library alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field

from vestibule.text import shown

PASSED, FAILED, WARNING, UNTESTED = "passed", "failed", "warning", "not testable here"
_MARKS = {PASSED: "ok  ", FAILED: "FAIL", WARNING: "warn", UNTESTED: "-   "}
_WORST_FIRST = (FAILED, WARNING, UNTESTED, PASSED)
_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One point of the contract and what became of it."""

    point: str
    """Short name of the point, the same in every report."""
    status: str
    """`passed`, `failed`, `warning` or `not testable here`."""
    detail: str
    """What was found, naming the file."""
    remedy: str = ""
    """What to do; empty where the point passed."""


@dataclass
class Report:
    """All findings about one submission, in the order in which they were made."""

    subject: str
    findings: list[Finding] = field(default_factory=list)

    def passed(self, point: str, detail: str) -> None:
        """Note that the point holds."""
        self.findings.append(Finding(point, PASSED, detail))

    def failed(self, point: str, detail: str, remedy: str) -> None:
        """Note that the point is broken: the submission would be refused or scored wrongly."""
        self.findings.append(Finding(point, FAILED, detail, remedy))

    def warn(self, point: str, detail: str, remedy: str) -> None:
        """Note what is allowed but rarely meant."""
        self.findings.append(Finding(point, WARNING, detail, remedy))

    def untested(self, point: str, detail: str, remedy: str = "") -> None:
        """Note that the point could not be looked at here, and why."""
        self.findings.append(Finding(point, UNTESTED, detail, remedy))

    def judge(self, point: str, problems: list[str], fine: str, remedy: str) -> None:
        """Note one point that holds where there are no problems.

        Args:
            point: Its name.
            problems: What breaks it, a line each; the first few of them are shown.
            fine: What is told where nothing does.
            remedy: What to do where something does.
        """
        if not problems:
            self.passed(point, fine)
            return
        shown = "; ".join(problems[:_SHOWN])
        if len(problems) > _SHOWN:
            shown += f"; and {len(problems) - _SHOWN} more"
        self.failed(point, shown, remedy)

    @property
    def failures(self) -> list[Finding]:
        """The broken points."""
        return [finding for finding in self.findings if finding.status == FAILED]

    def status_of(self, point: str) -> str | None:
        """The worst status that was noted for `point`; None where nothing was."""
        found = {finding.status for finding in self.findings if finding.point == point}
        for status in _WORST_FIRST:
            if status in found:
                return status
        return None

    def as_document(self) -> dict:
        """The report for JSON: `subject`, `ok` and `findings`."""
        return {
            "subject": self.subject,
            "ok": not self.failures,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def as_text(self) -> str:
        """The report for people: a line a point, and what to do beneath each that did not pass."""
        width = 0
        for finding in self.findings:
            width = max(width, len(finding.point))
        beneath_detail = " " * (8 + width)

        lines = [self.subject]
        for finding in self.findings:
            mark = _MARKS[finding.status]
            point = finding.point.ljust(width)
            lines.append(f"  {mark}  {point}  {finding.detail}")
            if finding.remedy:
                lines.append(f"{beneath_detail}  -> {finding.remedy}")

        counts = Counter(finding.status for finding in self.findings)
        summary = []
        for status in _MARKS:
            if counts[status]:
                summary.append(f"{counts[status]} {status}")
        lines.append(", ".join(summary))
        # Names of files in it are anyone's.
        return shown("\n".join(lines))
