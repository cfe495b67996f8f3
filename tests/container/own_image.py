"""What the tests of our own image share: small cases of an edition, and one run of the image in the strict sandbox."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contract.cases import GeneratedCase, generate_cases
from contract.sandbox import Engine, Run
from vestibule.editions import get_edition

EDITION = get_edition(2021)


def cases(count: int = 1) -> list[GeneratedCase]:
    """So many small cases, each on a grid of another kind."""
    return generate_cases(EDITION, np.random.default_rng(1), 96, 16)[:count]


def run_image(engine, image: str, input_dir: Path, tmp_path: Path, *flags: str) -> tuple[Run, Path]:
    """What became of one run, and the folder `output` in `tmp_path` that it wrote to."""
    output = tmp_path / "output"
    output.mkdir()
    output.chmod(0o777)
    return Engine(engine.program).run(image, input_dir, output, 600, True, *flags), output
