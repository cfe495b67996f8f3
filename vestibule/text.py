"""Text that comes from outside, as it may be shown: a name must not steer the terminal, nor look like another name."""

from __future__ import annotations

import re

_CONTROL = "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"
"""All but tab and line feed: among them is what begins a terminal's commands."""
_DIRECTION = "\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"
"""What makes the letters around it run the other way."""
_SURROGATES = "\\ud800-\\udfff"
"""Half characters, as which Python reads bytes that are not UTF-8."""
_UNSAFE = re.compile(f"[{_CONTROL}{_DIRECTION}{_SURROGATES}]")
_BYTE_FIRST, _BYTE_LAST = 0xDC80, 0xDCFF


def shown(text: str) -> str:
    """`text` with an escape in the place of what could steer a terminal; line breaks and tabs stay."""
    return _UNSAFE.sub(_as_escape, text)


def shown_json(text: str) -> str:
    """JSON with JSON's own escapes in the place of the same characters, so that it says what it said."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def is_plain(text: str) -> bool:
    """Whether `text` is one line that can be shown as it is."""
    return not _UNSAFE.search(text) and "\n" not in text and "\t" not in text


def _as_escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    # A byte that was no UTF-8 stands for itself.
    if _BYTE_FIRST <= code <= _BYTE_LAST:
        code -= _BYTE_FIRST - 0x80
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
