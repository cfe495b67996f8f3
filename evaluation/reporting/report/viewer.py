"""NiiVue, the viewer of volumes in a page, as its installed package brings it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path

from vestibule.errors import InputError

PACKAGE = "ipyniivue"
_CLASS = re.compile(r'Creating new Niivue instance"\);.{0,80}?=new (\w+)\(', re.DOTALL)
_EXPORT = re.compile(r"export\{\w+ as default\};?\s*$")


def viewer_source() -> str:
    """NiiVue as a JavaScript module that exports `Niivue`, its licence first.

    The package ships NiiVue inside a notebook widget, whose module exports the widget alone; here its last line exports
    the viewer instead. Raises InputError where the package is not installed or is made otherwise.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"{PACKAGE} is not installed, which brings the viewer of a report: pip install {PACKAGE}")

    folder = Path(spec.submodule_search_locations[0])
    script = folder / "static" / "widget.js"
    try:
        source = script.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{script}: cannot be read ({error.strerror}); install {PACKAGE} again") from error

    # The class has another short name in each build.
    name = _CLASS.search(source)
    export = _EXPORT.search(source)
    if name is None or export is None:
        raise InputError(f"{script}: not as {PACKAGE} 2.4 has it; install the version that constraints.txt names")

    # Its last line exports the notebook's widget; the viewer's class takes that place.
    module = source[: export.start()]
    viewer_class = name.group(1)
    licence = _licence()
    return f"/*! {licence} */\n{module}export{{{viewer_class} as Niivue}};\n"


def _licence() -> str:
    distribution = importlib.metadata.distribution(PACKAGE)
    texts = [f"NiiVue, from {PACKAGE} {distribution.version}"]
    for file in distribution.files or []:
        name = file.name.upper()
        if name.startswith("LICENSE"):
            texts.append(file.read_text())

    # It stands in a comment, which it must not end.
    text = "\n".join(texts)
    return text.replace("*/", "* /")
