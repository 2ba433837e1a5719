"""Encoders that several threads use at the same time."""

import threading

import numpy as np

from wsvad.encoders.motion import Motion
from wsvad.watch.model import SharedEncoder


class Meeting:
    """An encoder that comes back only when another thread is in its copy; two threads in one copy would be seen."""

    name = "meeting"

    def __init__(self, barrier):
        self._barrier, self._inside = barrier, threading.Lock()

    def encode(self, snippets):
        assert self._inside.acquire(blocking=False), "two threads in one copy"
        try:
            self._barrier.wait(30)
        finally:
            self._inside.release()
        return np.zeros((len(snippets), 1))


def test_as_many_threads_encode_at_once_as_there_are_copies():
    barrier = threading.Barrier(2)
    shared, failed = SharedEncoder([Meeting(barrier), Meeting(barrier)]), []

    def work():
        try:
            for _ in range(20):
                shared.encode([np.zeros(1)])
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failed and shared.name == "meeting"


def test_threads_that_encode_at_once_get_what_one_alone_gets():
    rng = np.random.default_rng(0)
    snippets = [rng.integers(0, 255, (16, 120, 160)).astype(np.uint8) for _ in range(8)]
    alone = [Motion().encode([one]) for one in snippets]
    shared, found = SharedEncoder([Motion(), Motion()]), {}

    def work(number):
        found[number] = shared.encode([snippets[number]])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for number, one in enumerate(alone):
        np.testing.assert_array_equal(found[number], one)
