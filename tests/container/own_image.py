"""What the tests of our own image share: small cases of an edition, and one run of the image in the strict sandbox."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from contract.cases import GeneratedCase, generate_cases
from contract.sandbox import Engine, Run
from vestibule.editions import get_edition

EDITION = get_edition(2021)
COMPILED_ANEW = """
from importlib.util import cache_from_source
from pathlib import Path
files = {module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)}
files = [name for name in files if name.endswith(".py") and "/opt/" in name]
print([name for name in files if not Path(cache_from_source(name)).exists()])
"""
"""Lists what of the modules imported so far, those of the base aside, has no bytecode in the image."""


def cases(count: int = 1) -> list[GeneratedCase]:
    """So many small cases, each on a grid of another kind."""
    return generate_cases(EDITION, np.random.default_rng(1), 96, 16)[:count]


def run_image(engine, image: str, input_dir: Path, tmp_path: Path, *flags: str) -> tuple[Run, Path]:
    """What became of one run, and the folder `output` in `tmp_path` that it wrote to."""
    output = tmp_path / "output"
    output.mkdir()
    output.chmod(0o777)
    return Engine(engine.program).run(image, input_dir, output, 600, True, *flags), output


def in_image(engine, image: str, code: str) -> str:
    """What Python code prints in an image."""
    flags = ("--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--entrypoint", "python3")
    result = engine("run", *flags, image, "-c", code, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def size_of(engine, image: str) -> int:
    """Bytes of an image, unpacked."""
    return int(engine("image", "inspect", "--format", "{{.Size}}", image).stdout)


def passed_points(engine, image: str, repository: Path, *flags: str) -> set[str]:
    """The points that `vestibule check IMAGE` with these flags notes as passed; none may fail."""
    command = [sys.executable, "-m", "vestibule", "check", image, "--json", *flags]
    checked = subprocess.run(
        command, cwd=repository, env=engine.environment, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    findings = json.loads(checked.stdout)["findings"]
    return {finding["point"] for finding in findings if finding["status"] == "passed"}
