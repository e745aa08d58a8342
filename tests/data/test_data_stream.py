import itertools
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.data.stream import TaskStream
from rlvr.errors import DataError
from rlvr.types import Task


def tasks(domain: str, size: int) -> list[Task]:
    return [
        Task(f"{domain}/{i}", ({"role": "user", "content": f"{domain} {i}"},), str(i), "math", domain, domain)
        for i in range(size)
    ]


SIZES = {"a": 7, "b": 3, "c": 11}
WEIGHTS = {"a": 2.0, "b": 1.0, "c": 0.5}


def stream(seed: int = 5, rest_draws: int = 0) -> TaskStream:
    domains = {name: tasks(name, size) for name, size in SIZES.items()}
    return TaskStream(domains, WEIGHTS, seed, rest_draws=rest_draws)


def play(subject: TaskStream, num_draws: int) -> list[tuple[int, str]]:
    """Draws one by one and records a rate that depends on the draw, so that skipping has something to read."""
    drawn = []
    for _ in range(num_draws):
        (draw,) = subject.draw(1)
        drawn.append((draw.draw_index, draw.task.id))
        subject.record(draw.task.id, (draw.draw_index * 7 % 5) / 4)
    return drawn


@settings(max_examples=40)
@given(st.integers(0, 2**63), st.integers(0, 60), st.integers(1, 60), st.sampled_from([0, 1, 7]))
def test_a_restored_stream_goes_on_as_the_undisturbed_one(seed: int, before: int, after: int, rest_draws: int) -> None:
    undisturbed = stream(seed, rest_draws)
    whole = play(undisturbed, before + after)
    stopped = stream(seed, rest_draws)
    play(stopped, before)
    resumed = stream(seed, rest_draws)
    resumed.restore(json.loads(json.dumps(stopped.state())))
    assert play(resumed, after) == whole[before:]
    assert resumed.state() == undisturbed.state()
    assert resumed.cursor == before + after


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 9), max_size=12))
def test_it_makes_no_difference_in_what_portions_draws_are_taken(seed: int, portions: list[int]) -> None:
    portioned = stream(seed)
    drawn = [draw for n in portions for draw in portioned.draw(n)]
    assert drawn == stream(seed).draw(sum(portions))


@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_every_task_comes_exactly_once_per_epoch_of_its_domain(seed: int) -> None:
    by_domain: dict[str, list[str]] = {name: [] for name in SIZES}
    for draw in stream(seed).draw(200):
        by_domain[draw.task.domain].append(draw.task.id)
    for name, size in SIZES.items():
        everything = {f"{name}/{i}" for i in range(size)}
        ids = by_domain[name]
        epochs = [ids[i : i + size] for i in range(0, len(ids) - size + 1, size)]
        assert len(epochs) >= 1
        assert all(set(epoch) == everything for epoch in epochs)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    one = TaskStream({"a": tasks("a", 50)}, {"a": 1.0}, 1)
    two = TaskStream({"a": tasks("a", 50)}, {"a": 1.0}, 2)
    first, second = one.draw(50), one.draw(50)
    orders = [[draw.task.id for draw in draws] for draws in (first, second, two.draw(50))]
    assert len({tuple(order) for order in orders}) == 3
    assert [draw.draw_index for draw in second] == list(range(50, 100))


def test_domains_are_drawn_by_their_weights_whatever_their_sizes() -> None:
    counts = Counter(draw.task.domain for draw in stream(3).draw(14_000))
    # Weights 2 : 1 : 0.5 of 3.5 in sum give 8000, 4000 and 2000; the largest standard deviation is
    # sqrt(14000 * 4/7 * 3/7) = 58.6, and four of them are 234.
    assert abs(counts["a"] - 8000) < 234
    assert abs(counts["b"] - 4000) < 234
    assert abs(counts["c"] - 2000) < 234


def test_the_order_of_the_domains_in_the_mapping_does_not_matter() -> None:
    reversed_domains = {name: tasks(name, SIZES[name]) for name in reversed(SIZES)}
    other = TaskStream(reversed_domains, WEIGHTS, 5)
    assert other.draw(60) == stream(5).draw(60)
    other.restore(stream(5).state())
    assert other.cursor == 0


def test_a_task_that_is_always_or_never_solved_rests_and_is_then_tried_again() -> None:
    subject = TaskStream({"a": tasks("a", 3)}, {"a": 1.0}, 1, rest_draws=4)
    rates = {"a/0": 1.0, "a/1": 0.5, "a/2": 0.0}
    drawn = []
    for _ in range(30):
        (draw,) = subject.draw(1)
        drawn.append(draw.task.id)
        subject.record(draw.task.id, rates[draw.task.id])
    places = {id_: [place for place, found in enumerate(drawn) if found == id_] for id_ in rates}
    for resting in ("a/0", "a/2"):
        gaps = [later - former for former, later in itertools.pairwise(places[resting])]
        # recorded after the draw: 4 draws pass, then 8, then 12
        assert all(gap > 4 * number for number, gap in enumerate(gaps, start=1)), (resting, gaps)
        assert 2 <= len(places[resting]) <= 4
    assert len(places["a/1"]) > 20


def test_a_group_with_a_signal_ends_the_rest() -> None:
    subject = TaskStream({"a": tasks("a", 2)}, {"a": 1.0}, 1, rest_draws=100)
    subject.record("a/0", 1.0)
    assert {draw.task.id for draw in subject.draw(6)} == {"a/1"}
    subject.record("a/0", 0.5)
    assert {draw.task.id for draw in subject.draw(6)} == {"a/0", "a/1"}


def test_without_rest_nothing_is_passed_over() -> None:
    subject = TaskStream({"a": tasks("a", 6)}, {"a": 1.0}, 1)
    for id_ in ("a/2", "a/4"):
        subject.record(id_, 1.0)
    assert len({draw.task.id for draw in subject.draw(6)}) == 6


def test_where_every_task_rests_the_stream_draws_them_all_the_same() -> None:
    subject = TaskStream({"a": tasks("a", 4)}, {"a": 1.0}, 1, rest_draws=50)
    for i in range(4):
        subject.record(f"a/{i}", 1.0)
    assert {draw.task.id for draw in subject.draw(4)} == {"a/0", "a/1", "a/2", "a/3"}


@pytest.mark.parametrize(
    "other",
    [
        TaskStream({"a": tasks("a", 8)}, {"a": 1.0}, 5),
        TaskStream({name: tasks(name, size) for name, size in SIZES.items()}, {**WEIGHTS, "a": 3.0}, 5),
        TaskStream({name: tasks(name, size) for name, size in SIZES.items()}, WEIGHTS, 6),
    ],
    ids=["other tasks", "other weights", "another seed"],
)
def test_a_state_of_other_data_weights_or_seed_is_refused(other: TaskStream) -> None:
    with pytest.raises(DataError, match="belongs to the task stream") as caught:
        stream(5).restore(other.state())
    assert "new run" in caught.value.hint


def test_a_changed_reference_makes_another_dataset() -> None:
    changed = tasks("a", 3)
    changed[1] = Task("a/1", changed[1].messages, "other", "math", "a", "a")
    with pytest.raises(DataError, match="belongs to"):
        TaskStream({"a": changed}, {"a": 1.0}, 1).restore(TaskStream({"a": tasks("a", 3)}, {"a": 1.0}, 1).state())


def test_the_state_is_compact_json() -> None:
    subject = stream()
    for rate in (0.5, 0.0, 1.0):
        subject.record("a/1", rate)
    subject.draw(2)
    subject.record("a/2", 1 / 3)
    state = json.loads(json.dumps(subject.state()))
    assert state["memory"] == {"a/1": [2, 0], "a/2": [0, 2]}
    restored = stream()
    restored.restore(state)
    assert restored.state() == state


@pytest.mark.parametrize(
    ("domains", "weights", "message"),
    [
        ({}, {}, "at least one domain"),
        ({"a": []}, {"a": 1.0}, "'a' has no task"),
        ({"a": tasks("a", 1)}, {}, "weights are for"),
        ({"a": tasks("a", 1)}, {"a": 1.0, "b": 1.0}, "weights are for"),
        ({"a": tasks("a", 1)}, {"a": 0.0}, "weight of 'a' is 0.0"),
        ({"a": tasks("a", 1)}, {"a": float("nan")}, "weight of 'a' is nan"),
        ({"a": tasks("x", 2), "b": tasks("x", 1)}, {"a": 1.0, "b": 1.0}, "'x/0' occurs twice, in 'a' and 'b'"),
    ],
)
def test_unusable_domains_and_weights_are_refused(
    domains: dict[str, list[Task]], weights: dict[str, float], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        TaskStream(domains, weights, 1)


def test_an_unknown_task_and_an_impossible_rate_are_our_own_mistakes() -> None:
    with pytest.raises(AssertionError, match="no task"):
        stream().record("nowhere", 0.5)
    with pytest.raises(AssertionError, match=r"\[0, 1\]"):
        stream().record("a/1", 1.5)


def test_a_memory_of_another_version_is_one_clear_error() -> None:
    subject = stream()
    subject.record("a/1", 0.5)
    state = subject.state()
    state["memory"] = {"a/1": [1, 0.5, 0.5]}
    with pytest.raises(DataError, match="written by another version"):
        stream().restore(state)
