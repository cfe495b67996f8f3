"""The packages of the images: a software bill of materials, and what is known of their vulnerabilities.

    python tools/audit.py [--out build/audit]

Writes a CycloneDX file for each of the two images, by cyclonedx-bom, from the locked requirements, and asks pip-audit
about them. Both tools go into an environment of their own. Where they, or the data on vulnerabilities, cannot be had,
that is told and is no failure; a known vulnerability is one. What the base image brings along is not in the files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"
TOOLS = ("cyclonedx-bom==7.5.0", "pip-audit==2.10.1")
IMAGES = {
    "inference": ("inference.txt", "torch.txt"),
    "inference with DICOM": ("inference.txt", "torch.txt", "dicom.txt"),
    "evaluation": ("evaluation.txt",),
}
"""The locked requirements of each image."""
SECONDS = 300


@dataclass(frozen=True)
class Audit:
    """What pip-audit found of the packages of an image."""

    vulnerable: tuple[str, ...]
    """A line for each package with known vulnerabilities."""
    audited: int
    """Packages that there are data on."""
    unknown: int
    """Packages that there are none on."""


def main() -> None:
    """Write the files, print what was found; exit code 1 where a package is known to be vulnerable."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "audit")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    programs = install(out / "tools")
    if programs is None:
        print("audit: pip-audit and cyclonedx-bom cannot be installed here; no bill of materials, nothing looked up")
        return

    vulnerable: list[str] = []
    for image, names in IMAGES.items():
        locked = out / f"{image}.txt"
        locked.write_text(locked_text(names), encoding="utf-8")
        written = write_materials(programs, locked, out / f"{image}.cdx.json")
        print(f"{image}: {written} packages in {out / image}.cdx.json")
        vulnerable += look_up(programs, image, locked)
    sys.exit("\n".join(vulnerable) or 0)


def install(folder: Path) -> Path | None:
    """The folder of both tools' programs, installed where they are not; None where they cannot be had."""
    programs = folder / "bin"
    done = folder / "installed"
    wanted = "\n".join(TOOLS)
    if done.is_file() and done.read_text(encoding="utf-8") == wanted:
        return programs
    try:
        venv.create(folder, with_pip=True, clear=True)
        command = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *TOOLS]
        subprocess.run(command, check=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return None
    done.write_text(wanted, encoding="utf-8")
    return programs


def locked_text(names: tuple[str, ...]) -> str:
    """The lines of several locked requirements, comments left out."""
    lines = []
    for name in names:
        for line in (REQUIREMENTS / name).read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                lines.append(line)
    return "\n".join(lines) + "\n"


def write_materials(programs: Path, locked: Path, target: Path) -> int:
    """Write the bill of materials of locked requirements as CycloneDX JSON; how many packages it lists."""
    command = [programs / "cyclonedx-py", "requirements", locked, "--output-format", "JSON"]
    command += ["--output-reproducible", "--output-file", target]
    subprocess.run(command, check=True, timeout=SECONDS, stderr=subprocess.DEVNULL)
    return len(json.loads(target.read_text(encoding="utf-8"))["components"])


def look_up(programs: Path, image: str, locked: Path) -> tuple[str, ...]:
    """Print what is known of the packages of an image; a line for each that is vulnerable."""
    pinned = [line.split()[0] for line in locked.read_text(encoding="utf-8").splitlines()]
    # Without hashes, which pip-audit wants of all packages or of none.
    plain = locked.with_suffix(".pinned.txt")
    plain.write_text("\n".join(pinned) + "\n", encoding="utf-8")
    command = [programs / "pip-audit", "--requirement", plain, "--no-deps", "--disable-pip", "--format", "json"]
    command += ["--progress-spinner", "off"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        found = judge(json.loads(ended.stdout))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        print(f"{image}: the data on vulnerabilities cannot be had here; nothing was looked up")
        return ()
    if not found.audited:
        print(f"{image}: there are no data on vulnerabilities here; nothing was looked up")
    else:
        known = len(found.vulnerable)
        print(f"{image}: {found.audited} packages looked up, {known} vulnerable, {found.unknown} not known")
    return found.vulnerable


def judge(document: dict) -> Audit:
    """What pip-audit's JSON says."""
    vulnerable, audited, unknown = [], 0, 0
    for package in document["dependencies"]:
        if "skip_reason" in package:
            unknown += 1
            continue
        audited += 1
        names = [found["id"] for found in package["vulns"]]
        if names:
            vulnerable.append(f"{package['name']} {package['version']}: {', '.join(names)}")
    return Audit(tuple(vulnerable), audited, unknown)


if __name__ == "__main__":
    main()
