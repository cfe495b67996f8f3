"""From the first job of a graph to its last on so many GPUs, simulated: nothing is run."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from training.cluster.graph import Graph
from training.cluster.schedule import Machine, Schedule


def makespan(graph: Graph, machine: Machine, seconds: Mapping[str, float]) -> float:
    """Seconds until all missing jobs are done, where each begins as soon as it can.

    Args:
        graph: All jobs.
        machine: GPUs and cores that the jobs share.
        seconds: How long each job takes; one that is not named takes none.
    """
    schedule = Schedule(graph, machine, seconds)
    ends: list[tuple[float, str]] = []
    now = 0.0
    while True:
        while job := schedule.next():
            end = now + seconds.get(job.name, 0.0)
            heapq.heappush(ends, (end, job.name))
        if not ends:
            return now
        now, name = heapq.heappop(ends)
        schedule.end(name, succeeded=True)
