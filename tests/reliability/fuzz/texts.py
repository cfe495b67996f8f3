"""Mutations of tables and configurations: cells, trees, and what YAML has besides."""

from __future__ import annotations

import json
from random import Random

import yaml

from tests.reliability.fuzz.mutations import TEXT, Mutation, change_tree

# The same in C, where PyYAML was built with it: ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def change_cell(content: bytes, rng: Random) -> bytes:
    """Another cell in a CSV table."""
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    cells = lines[place].split(b",")
    odd = rng.choice(
        [
            b"",
            b"nan",
            b"-1",
            b"1.5",
            b"1e400",
            b'"',
            b'"a\nb"',
            b"=1",
            b"1,5",
            b" 0.5 ",
            b"0.5 mm",
            b"vs",
            b"\xc3\xbc",
            b"x" * 200_000,
        ]
    )
    cells[rng.randrange(len(cells))] = odd
    lines[place] = rng.choice([b",", b",", b",", b";", b"\t", b"|"]).join(cells)
    return b"\n".join(lines)


CSV: tuple[Mutation, ...] = (*[change_cell] * 8, *TEXT)


def change_yaml(content: bytes, rng: Random) -> bytes:
    """Another value in a configuration, by its tree."""
    try:
        tree = yaml.load(content, Loader=LOADER)
    except Exception:
        return rng.choice(TEXT)(content, rng)
    # A day is a value of YAML's, and none of JSON's.
    tree = json.loads(json.dumps(tree, default=str))
    try:
        return yaml.dump(change_tree(tree, rng), Dumper=DUMPER, allow_unicode=True).encode("utf-8", "surrogatepass")
    except (yaml.YAMLError, UnicodeError):
        return content


def odd_yaml(content: bytes, rng: Random) -> bytes:
    """What YAML has and a configuration does not need: tags, anchors, merges, bombs, several documents."""
    bomb = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
        b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n" % (b, b, *[a] * 9)
        for a, b in zip(b"abcdefghi", b"bcdefghij", strict=True)
    )
    odd = rng.choice(
        [
            bomb,
            b"seed: !!python/object/apply:os.getpid []\n",
            b"<<: &m {seed: 1}\n",
            b"x: &x\n  y: *x\n",
            b"---\nseed: 1\n",
            b"? [a, b]\n: 1\n",
            b"seed: 2024-01-01\n",
            b"seed: 1:30\n",
            b"seed: 0o10\n",
            b"seed: 1_0\n",
            b"seed: !!binary aGk=\n",
            b"seed: !!set {a}\n",
            b"%YAML 9.9\n---\n",
            b"\tseed: 1\n",
            b"seed: |\n  a\n",
            b"seed: {" * 3000,
            b"- " * 5000,
            b"seed: !!int x\n",
            b"seed: !!timestamp x\n",
            b"seed: 0b2\n",
            b"seed: 1e-4\n",
            b"1: 2\n",
            b"null: 2\n",
            b"[a]: 2\n",
            b"{a: b}: 2\n",
            b"seed: !!float x\n",
            b"seed: !!bool x\n",
            b"seed: .inf\n",
            b"seed: 0x_\n",
            b"seed: 99999-99-99\n",
        ]
    )
    return odd + content if rng.random() < 0.5 else content + odd


YAML: tuple[Mutation, ...] = (*[change_yaml] * 12, *[odd_yaml] * 4, *TEXT)
