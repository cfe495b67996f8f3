"""What the folders of the data are called, where neither the edition nor the table of known names tells it."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class FoldersConfig:
    """Folders within the one that `--data` names. Usual names of the challenge's downloads are known without."""

    source: str | None = None
    """Folder of the labelled T1 images."""
    target: str | None = None
    """Folder of the unlabelled T2 images to train on."""
    validation: str | None = None
    """Folder of the T2 images to predict; only figures and the contrast report look into it."""

    @property
    def named(self) -> dict[str, str]:
        """The folders that are named, by role."""
        found = {}
        for field in fields(self):
            name = getattr(self, field.name)
            if name is not None:
                found[field.name] = name
        return found
