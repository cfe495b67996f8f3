"""What MkDocs is to do beside its own work: generated parts, formulas as MathML, and the files that pages link to."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

import reference
from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2\s*?$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:|#|/)([^)\s#]+)(#[^)\s]*)?\)")
DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
ELSEWHERE = "files"
"""Folder of the site for files of the project that lie outside docs/ and that a page links to."""


def on_files(files, config):
    """Add a page for every file outside docs/ that a page links to, so that the link works on the site too."""
    docs = Path(config["docs_dir"])
    waiting = sorted(docs.rglob("*.md"))
    known = set()
    while waiting:
        page = waiting.pop(0)
        for target in outside(page, docs):
            if target in known:
                continue
            known.add(target)
            files.append(File.generated(config, page_of(target), content=as_page(target)))
            if target.suffix == ".md":
                waiting.append(target)
    return files


def on_page_markdown(markdown, page, config, files):
    """Fill in generated parts, turn links that leave docs/ to their pages, and set formulas."""
    docs = Path(config["docs_dir"])
    markdown = reference.expand(markdown)
    here = PurePosixPath(page.file.src_uri)
    source = origin(here, docs)

    def turned(link):
        target = (source.parent / link.group(1)).resolve()
        place = page_of(target) if not target.is_relative_to(docs) else target.relative_to(docs).as_posix()
        return f"]({os.path.relpath(place, here.parent)}{link.group(2) or ''})"

    return outside_fences(markdown, lambda text: DISPLAY.sub(formula, LINK.sub(turned, text)))


def outside(page, docs):
    """Files of the project outside docs/ that a page links to."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [(page.parent / link.group(1)).resolve() for link in LINK.finditer(text)]
    return [target for target in targets if target.is_file() and not target.is_relative_to(docs)]


def page_of(target):
    """Where the page of a file outside docs/ lies on the site."""
    place = target.relative_to(ROOT).as_posix()
    return f"{ELSEWHERE}/{place}" if target.suffix == ".md" else f"{ELSEWHERE}/{place}.md"


def origin(here, docs):
    """The file that a page of the site was made from."""
    if here.parts[0] != ELSEWHERE:
        return docs / here
    place = ROOT.joinpath(*here.parts[1:])
    return place if place.is_file() else place.with_suffix("")


def as_page(target):
    """The text of a file as a page: Markdown as it is, all else as code under its name."""
    text = target.read_text(encoding="utf-8")
    if target.suffix == ".md":
        return text
    language = {".py": "python", ".yaml": "yaml", ".sh": "bash"}.get(target.suffix, "text")
    return f"# {target.relative_to(ROOT).as_posix()}\n\n````{language}\n{text}\n````\n"


def formula(match):
    """A formula in LaTeX as MathML, which browsers show without a script."""
    return f'<div class="formula">{convert(match.group(1).strip(), display="block")}</div>'


def outside_fences(markdown, change):
    """`change` applied to all text that is not fenced code."""
    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [change(markdown[end : fence.start()]), fence.group(0)]
        end = fence.end()
    return "".join([*parts, change(markdown[end:])])
