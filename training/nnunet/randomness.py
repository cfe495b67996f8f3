"""The random numbers of a training of nnU-Net, which takes them from the global generators of three libraries."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch

from training.gan.checkpoint import random_state, set_random_state


def global_state() -> dict[str, Any]:
    """State of the global generators: Python's, NumPy's, torch's and, where there is one, this process's GPU's."""
    kind, words, *rest = cast(tuple[str, np.ndarray, int, int, float], np.random.get_state())
    return {
        "python": random.getstate(),
        # A list, since what `torch.load` admits has no arrays.
        "numpy": (kind, words.tolist(), *rest),
        **random_state(),
    }


def set_global_state(state: dict[str, Any]) -> None:
    """Go on from what `global_state` gave."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    set_random_state(state)


def seed_plainly(seed: int) -> None:
    """Seed the global generators, each by `seed` itself."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def seed_all(*key: int) -> None:
    """Seed the global generators by several numbers, none of them negative, that together name what is sampled."""
    words = np.random.SeedSequence(key).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words)
    torch.manual_seed(int(words[1]))


class NumberedBatches(Iterator[Any]):
    """Batches of a loader, each sampled by its number alone.

    So they are the same for any number of worker processes, and in a training that goes on. Worker w of n gives the
    batches w, w + n, w + 2n and so on.
    """

    def __init__(self, loader: Iterator[Any], key: tuple[int, ...], first: int, workers: int) -> None:
        """Nothing is sampled yet.

        Args:
            loader: Samples a batch by the global generators.
            key: Numbers that tell these batches from those of other trainings.
            first: Number of the first batch that is wanted.
            workers: Processes that share the batches out among them.
        """
        self._loader = loader
        self._key = key
        self._first = first
        self._next = first
        self._workers = workers

    def set_thread_id(self, worker: int) -> None:
        """Become worker `worker`, from 0 on; batchgenerators calls it in each of its processes."""
        # The processes take a core each.
        torch.set_num_threads(1)
        self._next = self._first + worker

    def __next__(self) -> Any:
        """The next batch of this worker."""
        seed_all(*self._key, self._next)
        self._next += self._workers
        return next(self._loader)
