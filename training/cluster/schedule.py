"""Which jobs of a graph begin next on a machine of so many GPUs and cores: for local processes and for simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from training.cluster.graph import Graph, Job


@dataclass
class Machine:
    """What is free of one machine, or of several that jobs may share out."""

    gpus: int
    cpus: int

    def needs(self, job: Job) -> tuple[int, int]:
        """GPUs and cores that a job gets: what it asks for, or the whole machine where that is less."""
        gpus = min(job.resources.gpus, self.gpus)
        cpus = min(job.resources.cpus, self.cpus)
        return gpus, cpus


class Schedule:
    """The jobs of a graph that are missing, and which of them may begin."""

    def __init__(self, graph: Graph, machine: Machine, seconds: Mapping[str, float] | None = None) -> None:
        """Nothing has begun yet.

        Args:
            graph: All jobs.
            machine: On which they run.
            seconds: How long each takes; of those that may begin, the one with the longest way to the end comes first.
        """
        self._machine = machine
        self._free_gpus = machine.gpus
        self._free_cpus = machine.cpus
        self.waiting = {job.name: job for job in graph.missing()}
        self.running: dict[str, Job] = {}
        self.failed: dict[str, Job] = {}
        self._open: dict[str, set[str]] = {}
        for name, job in self.waiting.items():
            self._open[name] = set(graph.waits_for(job))
        self._followers = followers_of(graph)
        ways = ways_to_the_end(graph, self._followers, seconds or {})
        self._order = sorted(self.waiting, key=lambda name: -ways[name])

    def next(self) -> Job | None:
        """A job that may begin now, which is then running; None where there is none, or no room."""
        for name in self._order:
            job = self.waiting.get(name)
            if job is None or self._open[name]:
                continue
            gpus, cpus = self._machine.needs(job)
            has_room = gpus <= self._free_gpus and cpus <= self._free_cpus
            if has_room:
                self._free_gpus -= gpus
                self._free_cpus -= cpus
                self.running[name] = self.waiting.pop(name)
                return job
        return None

    def end(self, name: str, succeeded: bool) -> list[str]:
        """Note the end of a running job; returns the names of those that cannot be made because of it."""
        job = self.running.pop(name)
        gpus, cpus = self._machine.needs(job)
        self._free_gpus += gpus
        self._free_cpus += cpus
        if succeeded:
            for follower in self._followers[name]:
                if follower in self._open:
                    self._open[follower].discard(name)
            return []
        self.failed[name] = job
        return self._drop_followers(name)

    def _drop_followers(self, name: str) -> list[str]:
        dropped = []
        for follower in self._followers[name]:
            if self.waiting.pop(follower, None) is not None:
                dropped.append(follower)
                dropped += self._drop_followers(follower)
        return dropped


def followers_of(graph: Graph) -> dict[str, list[str]]:
    """For each job those that need it."""
    followers: dict[str, list[str]] = {name: [] for name in graph.jobs}
    for job in graph.jobs.values():
        for needed in job.needs:
            followers[needed].append(job.name)
    return followers


def ways_to_the_end(graph: Graph, followers: Mapping[str, list[str]], seconds: Mapping[str, float]) -> dict[str, float]:
    """For each job the seconds from its start to the end of all that needs it, were there no end of machines."""
    ways: dict[str, float] = {}
    for name in reversed(graph.jobs):
        longest = 0.0
        for follower in followers[name]:
            longest = max(longest, ways[follower])
        own = seconds.get(name, 1.0)
        ways[name] = own + longest
    return ways
