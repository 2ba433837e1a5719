"""The faults that long runs are given: the same for the same seed, all kinds, and all is well again afterwards."""

import time
from collections import Counter

from faults import KINDS, Faults, schedule


class Told:
    """A server that notes what it is told."""

    def __init__(self) -> None:
        self.orders: list[tuple] = []

    def __getattr__(self, name: str):
        return lambda *args: self.orders.append((name, *args))


def run(seed: int, count: int) -> tuple[list[tuple], list[tuple]]:
    server = Told()
    cameras = {"/a": (640, 360), "/b": (320, 240)}
    more = {"broker": lambda: server.orders.append(("broker",))}
    with Faults(server, cameras, seed=seed, every=0.001, lasting=0.001, more=more) as faults:
        while len(faults.done) < count:
            time.sleep(0.001)
    return [done[1:] for done in faults.done], server.orders


def test_faults_are_the_same_for_the_same_seed():
    assert schedule(3, 60) == schedule(3, 60) != schedule(4, 60)
    assert 55 < sum(pause for pause, _, _ in schedule(3, 60)) / 1000 < 65
    (first, _), (again, _), (other, _) = run(0, 60), run(0, 60), run(1, 60)
    assert first[:60] == again[:60] != other[:60]
    assert {kind for kind, _ in first} == {*KINDS, "broker"} and {path for _, path in first} == {"", "/a", "/b"}


def test_what_they_do_is_undone():
    done, orders = run(0, 80)
    counts = Counter(order[0] if order[0] != "freeze" else order[::2] for order in orders)
    assert counts["stop",] == 0 and counts["stop"] == counts["start"] == sum(kind == "away" for kind, _ in done)
    assert counts["freeze",] == counts["freeze", False] == sum(kind == "freeze" for kind, _ in done)
    sizes = {order[2:] for order in orders if order[0] == "resize" and order[1] == "/a"}
    assert sizes == {(640, 360), (320, 180)}, "there and back"
