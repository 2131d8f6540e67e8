"""How long a graph of jobs takes on so many devices and cores, by simulation of a scheduler."""

import dataclasses
import heapq
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Task:
    """A job: its seconds, what it needs of each resource, the places of the tasks before it, and its priority."""

    seconds: float
    needs: Mapping[str, int]
    after: Sequence[int] = ()
    priority: int = 0


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When each task starts and ends, in seconds, and when all have ended."""

    starts: list[float]
    ends: list[float]

    @property
    def seconds(self) -> float:
        """Of wall time."""
        return max(self.ends, default=0.0)


def simulate(tasks: Sequence[Task], capacity: Mapping[str, int]) -> Schedule:
    """List scheduling: whenever a task ends, all start that are ready and fit, by priority and then in their order.

    A task stands behind those that it waits for. Like Snakemake, a task that needs more of a resource than there is
    gets what there is. A resource that `capacity` does not name is not limited.

    With one resource of which every task needs one unit, this takes at most 2 - 1/capacity times the shortest possible
    time (Graham, SIAM J. Appl. Math. 1969).
    """
    needs = [tuple(_within(task.needs, capacity).items()) for task in tasks]
    waiting = [len(task.after) for task in tasks]
    followers: list[list[int]] = [[] for _ in tasks]
    for place, task in enumerate(tasks):
        for before in task.after:
            followers[before].append(place)
    queues: dict[tuple[tuple[str, int], ...], list[tuple[int, int]]] = {each: [] for each in needs}
    for place, task in enumerate(tasks):
        if not task.after:
            heapq.heappush(queues[needs[place]], (-task.priority, place))
    running: list[tuple[float, int]] = []
    free = dict(capacity)
    starts, ends = [0.0] * len(tasks), [0.0] * len(tasks)
    now = 0.0
    while True:
        # of the tasks with equal needs only the first can be the next one
        fits = [
            (queue[0], queue)
            for need, queue in queues.items()
            if queue and all(free[name] >= count for name, count in need)
        ]
        if fits:
            (_, place), queue = min(fits, key=lambda each: each[0])
            heapq.heappop(queue)
            _take(free, needs[place], -1)
            starts[place], ends[place] = now, now + tasks[place].seconds
            heapq.heappush(running, (ends[place], place))
            continue
        if not running:
            return Schedule(starts, ends)
        now = running[0][0]
        while running and running[0][0] <= now:
            _, place = heapq.heappop(running)
            _take(free, needs[place], +1)
            for follower in followers[place]:
                waiting[follower] -= 1
                if not waiting[follower]:
                    heapq.heappush(queues[needs[follower]], (-tasks[follower].priority, follower))


def critical_path(tasks: Sequence[Task]) -> float:
    """Seconds of the longest chain of tasks that wait for each other: no number of devices is faster."""
    ends: list[float] = []
    for task in tasks:
        ends.append(task.seconds + max((ends[before] for before in task.after), default=0.0))
    return max(ends, default=0.0)


def lower_bound(tasks: Sequence[Task], capacity: Mapping[str, int]) -> float:
    """Seconds that no schedule can beat: the critical path, or what a resource has to do in all."""
    loads = (
        sum(task.seconds * _within(task.needs, capacity).get(name, 0) for task in tasks) / count
        for name, count in capacity.items()
    )
    return max(critical_path(tasks), *loads)


def _take(free: dict[str, int], need: Sequence[tuple[str, int]], sign: int) -> None:
    for name, count in need:
        free[name] += sign * count


def _within(needs: Mapping[str, int], capacity: Mapping[str, int]) -> dict[str, int]:
    return {name: min(count, capacity[name]) for name, count in needs.items() if count and name in capacity}
