"""What every export says of its weights: whose they are, what they are not for, what has to be done around them."""

from __future__ import annotations

from vestibule import __version__
from vestibule.editions import get_edition
from vestibule.exchange.labels import label_names
from vestibule.preprocessing import PreprocessingConfig
from vestibule.weights import Bundle

PHANTOM = "phantom"
"""An intended use."""
NOT_MEDICAL = "Research only. Not a medical device: not for diagnosis, treatment or any decision about a patient."
TERMS = """# Terms

These weights were learnt from data with terms of their own. What those allow holds for the weights, too: read them
before you share or use the weights. crossMoDA's forbid commercial use.
"""
"""The licence of weights that learnt from data from outside."""
REGIONS = {
    "head": "the region lies around both inner ears, which vestibule.region finds by the outline of the head",
    "bright": "the region lies around the mean position of the brightest voxels, as vestibule.preprocessing has it",
}
"""Where the region of interest lies, by the preprocessing's rule."""


def warning(bundle: Bundle) -> str:
    """A line of Markdown on what the weights are not for."""
    if not bundle.notice:
        return NOT_MEDICAL
    return f"**{bundle.notice[:1].upper()}{bundle.notice[1:]}.** {NOT_MEDICAL}"


def identity(bundle: Bundle) -> dict:
    """What the weights are and whose labels they give, for a JSON file."""
    manifest = bundle.manifest
    return {
        "name": manifest["name"],
        "made_by": f"vestibule {__version__}",
        "created": manifest["created"],
        "intended_use": manifest["intended_use"],
        "notice": bundle.notice,
        "broken_rules": bundle.broken_rules,
        "edition": manifest["edition"],
        "labels": label_names(get_edition(manifest["edition"])),
    }


def image_steps(bundle: Bundle) -> dict:
    """How a T2 image is brought to the working grid, for a JSON file."""
    config = PreprocessingConfig.from_bundle(bundle.manifest["preprocessing"])
    return {
        "orientation": "LPS: axes (z, y, x) run towards the patient's head, back and left",
        "spacing_yx_mm": list(config.spacing_yx_mm),
        "size_yx": list(config.size_yx),
        "region": REGIONS[config.centre],
        "percentiles": list(config.percentiles_of_target),
        "resampling": "linear in plane, smoothed before where voxels become larger; slices stay as they are",
        "intensities": "the two percentiles of the region become -1 and 1; what lies outside is clipped",
    }
