"""Ways to damage a file: bytes, texts, trees of values, and what the formats of images hold where.

Each takes the content of a file and a random generator, and gives another content.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

Mutation = Callable[[bytes, Random], bytes]

INTEGERS = (0, 1, -1, 2, 127, 128, 255, 256, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**32, 2**63 - 1, 10**30)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-30, 1e-4, 1.1999999, 0.5, 1e6, 1e38, -1e38, 1e308, float("inf"), float("nan"))
TEXTS = ("", " ", "\0", "../../x", "/etc/passwd", "a" * 5000, "\ud800", "ü", "=1+1", "[red]", "\x1b[31m", "a\nb", "NaN")
DEEP = 100_000
"""Brackets within each other, more than any parser that calls itself can follow."""


def flip_bit(content: bytes, rng: Random) -> bytes:
    if not content:
        return content
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << rng.randrange(8))]) + content[place + 1 :]


def flip_early_bit(content: bytes, rng: Random) -> bytes:
    """As `flip_bit`, in the first 400 bytes, where headers lie."""
    return flip_bit(content[:400], rng) + content[400:]


def set_bytes(content: bytes, rng: Random) -> bytes:
    """Write an integer that lies at a limit, in either order of bytes."""
    code = rng.choice("<>") + rng.choice("bhiqfd")
    try:
        packed = struct.pack(code, rng.choice(NUMBERS if code[1] in "fd" else INTEGERS))
    except (struct.error, OverflowError):
        packed = b"\xff" * struct.calcsize(code)
    place = rng.randrange(max(1, len(content) - len(packed)))
    return content[:place] + packed + content[place + len(packed) :]


def truncate(content: bytes, rng: Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def truncate_end(content: bytes, rng: Random) -> bytes:
    return content[: -rng.randint(1, 12)]


def append(content: bytes, rng: Random) -> bytes:
    return content + rng.choice([b"\0", b"\n", b"{}", rng.randbytes(rng.randint(1, 2000)), content])


def delete_part(content: bytes, rng: Random) -> bytes:
    first, last = _part(content, rng)
    return content[:first] + content[last:]


def repeat_part(content: bytes, rng: Random) -> bytes:
    first, last = _part(content, rng)
    return content[:last] + content[first:last] * rng.randint(1, 3) + content[last:]


def zero_part(content: bytes, rng: Random) -> bytes:
    first, last = _part(content, rng)
    return content[:first] + rng.choice([b"\0", b"\xff"]) * (last - first) + content[last:]


def _part(content: bytes, rng: Random) -> tuple[int, int]:
    first = rng.randrange(len(content) + 1)
    return first, min(len(content), first + rng.randint(1, 64))


BYTES: tuple[Mutation, ...] = (
    flip_bit,
    flip_early_bit,
    set_bytes,
    truncate,
    truncate_end,
    append,
    delete_part,
    repeat_part,
    zero_part,
)


def within_gzip(mutation: Mutation) -> Mutation:
    """The same mutation of what a gzip file holds; of the file itself where it is none."""

    def mutated(content: bytes, rng: Random) -> bytes:
        try:
            inner = gzip.decompress(content)
        except (OSError, EOFError, ValueError, zlib.error):
            return mutation(content, rng)
        return gzip.compress(mutation(inner, rng), 1, mtime=0)

    return mutated


def within_first(most: int) -> Mutation:
    """Damage within the first so many bytes."""

    def mutated(content: bytes, rng: Random) -> bytes:
        return rng.choice(BYTES)(content[:most], rng) + content[most:]

    return mutated


# Texts.


def change_encoding(content: bytes, rng: Random) -> bytes:
    text = content.decode("utf-8", "replace")
    encoding = rng.choice(["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp437", "utf-7"])
    return text.encode(encoding, "replace")


def odd_bytes(content: bytes, rng: Random) -> bytes:
    """Bytes that are no UTF-8, or characters that some readers take for the end of a line."""
    odd = rng.choice(
        [b"\xff", b"\xfc", b"\x80", b"\0", b"\x85", b"\xe2\x80\xa8", b"\r", b"\x0c", b"\x1a", b"\xed\xa0\x80"]
    )
    place = rng.randrange(len(content) + 1)
    return content[:place] + odd + content[place:]


def change_lines(content: bytes, rng: Random) -> bytes:
    """Drop, double, move or join lines, or change how they end."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    place = rng.randrange(len(lines))
    way = rng.randrange(5)
    if way == 0:
        del lines[place]
    elif way == 1:
        lines.insert(rng.randrange(len(lines) + 1), lines[place])
    elif way == 2:
        lines.insert(rng.randrange(len(lines)), lines.pop(place))
    elif way == 3:
        lines[place] = lines[place].rstrip(b"\r\n")
    else:
        return content.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n", b"\n\r"]))
    return b"".join(lines)


def change_number(content: bytes, rng: Random) -> bytes:
    """Another number in the place of one of the text's."""
    text = content.decode("latin-1")
    places = _number_places(text)
    if not places:
        return content
    first, last = rng.choice(places)
    new = rng.choice(
        [
            *map(str, INTEGERS),
            *map(repr, NUMBERS),
            "1e999",
            "1_000",
            "0x10",
            "010",
            "1,5",
            "--1",
            "+1",
            "1e-4",
            "٣",
            "1" * 5000,
        ]
    )
    return text[:first].encode("latin-1") + new.encode() + text[last:].encode("latin-1")


def _number_places(text: str) -> list[tuple[int, int]]:
    places = []
    first = None
    for index, character in enumerate(text[:20_000] + " "):
        is_part = character.isascii() and (character.isdigit() or character == ".")
        if is_part and first is None:
            first = index
        elif not is_part and first is not None:
            places.append((first, index))
            first = None
    return places


TEXT: tuple[Mutation, ...] = (*BYTES, change_encoding, odd_bytes, change_lines, change_number, change_number)


# Trees of values, as JSON and YAML have them.


def odd_value(rng: Random) -> Any:
    """A value that a reader may not have thought of."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice(INTEGERS)
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind == 2:
        return rng.choice(TEXTS)
    if kind == 3:
        return rng.choice([None, True, False, [], {}, [None], {"": None}, [[]], [1] * 1000, [{}]])
    return rng.choice([10**400, 2**53 + 1, -(10**11), 10**11, "1", "true", "null", [0, 0], {"a": {"a": {}}}])


def change_tree(tree: Any, rng: Random) -> Any:
    """A copy of a tree with one node replaced, dropped, doubled, renamed or exchanged with another."""
    # Through JSON's own copy, which keeps NaN and needs no recursion of ours.
    tree = json.loads(json.dumps(tree))
    nodes = list(_nodes(tree))
    if not nodes:
        return odd_value(rng)
    holder, key = rng.choice(nodes)
    way = rng.randrange(7)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif way == 1:
        holder[rng.choice([f"{key}x", str(key).upper(), "", str(key)[:-1]])] = holder.pop(key)
    elif way == 2:
        other_holder, other = rng.choice(nodes)
        holder[key] = json.loads(json.dumps(other_holder[other]))
    elif way == 3:
        holder[key] = [holder[key]]
    elif way == 4 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        factor = rng.choice([-1, 0, 2, 10, 1000, 10**9, 0.5, 1.0000001])
        holder[key] = holder[key] * factor
    else:
        holder[key] = odd_value(rng)
    return tree


def _nodes(tree: Any):
    """Every place of a tree, as the object that holds it and its key there."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            yield node, key
            waiting.append(node[key])


def change_json(content: bytes, rng: Random) -> bytes:
    """Change the tree that a JSON file holds; its text where it holds none."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return rng.choice(TEXT)(content, rng)
    return json.dumps(change_tree(tree, rng), indent=1).encode()


def deepen(content: bytes, rng: Random) -> bytes:
    """Brackets within brackets, alone or in the place of the first value."""
    opening, closing = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    deep = opening * DEEP + b"1" + (closing * DEEP if rng.random() < 0.5 else b"")
    place = content.find(b":")
    if rng.random() < 0.5 or place < 0:
        return deep
    return content[: place + 1] + deep + content[place + 1 :]


def double_key(content: bytes, rng: Random) -> bytes:
    """A key of a JSON object twice, with another value."""
    places = [index for index, byte in enumerate(content[:20_000]) if byte == ord("{")]
    if not places:
        return content
    place = rng.choice(places) + 1
    end = content.find(b":", place)
    key = content[place:end].strip() if end > 0 else b'"a"'
    value = json.dumps(odd_value(rng)).encode()
    return content[:place] + key + b": " + value + b", " + content[place:]


JSON: tuple[Mutation, ...] = (*[change_json] * 12, *TEXT, deepen, double_key)


def several(mutations: tuple[Mutation, ...], content: bytes, rng: Random) -> bytes:
    """One mutation, or a few of them one after the other."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        content = rng.choice(mutations)(content, rng)
    return content
