#!/usr/bin/env python3
"""What `demo.sh` asks of a finished run on phantoms, a line each.

    python tools/demo_facts.py runs/demo

Prints the bundle, the unseen T2 images, their references, the bundle's default arm and then each of its arms, so that
the demo spells no folder of an edition and no arm.
"""

from __future__ import annotations

import sys
from pathlib import Path

from training.stage_table import EXPORT, PHANTOM
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import read_json
from vestibule.manifest import MANIFEST_NAME


def facts(run: Path) -> list[str]:
    """The lines. Raises InputError where the run has no bundle."""
    bundle = EXPORT.folder(run) / "bundle"
    manifest = read_json(bundle / MANIFEST_NAME)
    if manifest is None:
        raise InputError(f"{bundle}: no bundle here; let the run end first")
    edition = get_edition(manifest["edition"])
    data = PHANTOM.folder(run) / "data"
    images = data / edition.validation_folder
    references = edition.references_of(data, edition.validation_folder)
    return [str(bundle), str(images), str(references), manifest["default_arm"], *manifest["arms"]]


if __name__ == "__main__":
    try:
        print("\n".join(facts(Path(sys.argv[1]))))
    except (InputError, IndexError) as error:
        sys.exit(f"demo_facts: error: {error}")
