"""The simulated scheduler against all schedules of small graphs, and against what no schedule may do."""

import itertools

import numpy as np
import pytest

from segcert.plan.schedule import Task, critical_path, lower_bound, simulate


def random_tasks(rng, count, resources):
    """Tasks with some of the earlier ones before them, of whole seconds."""
    return [
        Task(
            float(rng.integers(1, 9)),
            {name: int(rng.integers(0, most + 1)) for name, most in resources.items()},
            [int(before) for before in range(place) if rng.random() < 0.3],
            int(rng.integers(0, 2)),
        )
        for place in range(count)
    ]


def free_at(needs, spans, capacity, start, end):
    """Whether the resources last from start to end beside tasks of given spans."""
    times = {start, *(begun for begun, _, _ in spans if start <= begun < end)}
    return all(
        needs.get(name, 0) + sum(each.get(name, 0) for begun, ended, each in spans if begun <= time < ended) <= most
        for time in times
        for name, most in capacity.items()
    )


def shortest(tasks, capacity):
    """The shortest possible time: each order of the tasks, each task as early as it fits."""
    best = float("inf")
    for order in itertools.permutations(range(len(tasks))):
        spans, ends = [], {}
        for place in order:
            task = tasks[place]
            if not all(before in ends for before in task.after):
                break
            earliest = max((ends[before] for before in task.after), default=0.0)
            starts = sorted({earliest, *(ended for _, ended, _ in spans if ended > earliest)})
            start = next(s for s in starts if free_at(task.needs, spans, capacity, s, s + task.seconds))
            ends[place] = start + task.seconds
            spans.append((start, ends[place], task.needs))
        else:
            best = min(best, max(ends.values()))
    return best


@pytest.mark.parametrize("seed", range(25))
def test_between_the_shortest_time_and_grahams_bound(seed):
    rng = np.random.default_rng(seed)
    devices = int(rng.integers(1, 4))
    tasks = [Task(task.seconds, {"gpu": 1}, task.after, task.priority) for task in random_tasks(rng, 5, {})]
    best = shortest(tasks, {"gpu": devices})
    found = simulate(tasks, {"gpu": devices}).seconds
    assert lower_bound(tasks, {"gpu": devices}) <= best <= found <= (2 - 1 / devices) * best


@pytest.mark.parametrize("seed", range(20))
def test_a_schedule_waits_for_files_and_never_takes_more_than_there_is(seed):
    rng = np.random.default_rng(seed)
    capacity = {"cores": 4, "gpu": 2, "dvc": 1}
    tasks = random_tasks(rng, 40, {"cores": 4, "gpu": 1, "dvc": 1})
    done = simulate(tasks, capacity)
    spans = list(zip(done.starts, done.ends, [task.needs for task in tasks], strict=True))
    for place, (task, start, end) in enumerate(zip(tasks, done.starts, done.ends, strict=True)):
        assert end - start == task.seconds
        assert all(done.ends[before] <= start for before in task.after)
        assert free_at(task.needs, spans[:place] + spans[place + 1 :], capacity, start, start + 1e-9)
    assert lower_bound(tasks, capacity) <= done.seconds <= sum(task.seconds for task in tasks)


@pytest.mark.parametrize("seed", range(5))
def test_one_device_takes_the_sum_and_many_the_longest_chain(seed):
    tasks = [Task(each.seconds, {"gpu": 1}, each.after) for each in random_tasks(np.random.default_rng(seed), 30, {})]
    assert simulate(tasks, {"gpu": 1}).seconds == sum(task.seconds for task in tasks)
    assert simulate(tasks, {"gpu": 30}).seconds == critical_path(tasks)


def test_nobody_waits_while_a_device_is_free():
    tasks = [Task(2.0, {"gpu": 1}), Task(5.0, {"gpu": 1}), Task(1.0, {"gpu": 1}, [0])]
    assert simulate(tasks, {"gpu": 2}).starts == [0.0, 0.0, 2.0]


def test_a_job_that_wants_more_than_there_is_gets_what_there_is():
    assert simulate([Task(3.0, {"gpu": 4}), Task(3.0, {"gpu": 1})], {"gpu": 2}).seconds == 6.0


def test_the_higher_priority_starts_first_and_nothing_takes_no_time():
    tasks = [Task(3.0, {"gpu": 1}), Task(5.0, {"gpu": 1}, priority=1)]
    assert simulate(tasks, {"gpu": 1}).starts == [5.0, 0.0]
    assert simulate([], {"gpu": 1}).seconds == 0.0 == critical_path([])
