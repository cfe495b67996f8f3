"""Files that an installation brings along: weights of phantoms and configurations.

In a checkout and in an image they lie beside the packages; a wheel puts them into `share/vestibule`.
"""

from __future__ import annotations

import site
import sysconfig
from pathlib import Path

OWN_ROOT = Path(__file__).resolve().parents[1]
"""The repository, the image's folder, or the folder that packages are installed in."""
SHARE = Path("share") / "vestibule"


def places(name: str) -> list[Path]:
    """Folders that may hold `name`, such as `weights`, the nearest first; none of them need be there."""
    data = sysconfig.get_path("data")
    # The last is that of `pip install --target`.
    bases = [Path(data), Path(site.getuserbase()), OWN_ROOT]
    folders = [OWN_ROOT / name]
    for base in bases:
        folders.append(base / SHARE / name)
    return list(dict.fromkeys(folders))
