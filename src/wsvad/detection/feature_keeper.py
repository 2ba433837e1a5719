"""Which features of a camera are kept: those of events, and of a random share of quiet time."""

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from wsvad.detection.event_store import EventStore

RECENT = 256
"""Snippets that are remembered, some two minutes: an event began before its alert was due."""
BLOCK = 64
"""Snippets that are written together, and of quiet time chosen together; longer than any merge gap that makes sense."""
SHARE = 0.01
"""Of quiet time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Snippet:
    rows: Mapping[str, np.ndarray]
    start: datetime
    end: datetime

    @property
    def middle(self) -> datetime:
        """By which it is known whether it belongs to an event: where one snippet ends and the next begins, clocks of
        cameras tremble."""
        return self.start + (self.end - self.start) / 2


class FeatureKeeper:
    """One for each camera; its memory is bounded, and what is written survives a kill."""

    def __init__(
        self,
        store: EventStore,
        camera: str,
        passports: Mapping[str, Mapping[str, Any]],
        *,
        share: float = SHARE,
        seed: int | None = None,
    ):
        """
        Args:
            passports: how each stream is made.
            share: of quiet time that is kept.
        """
        self._store = store
        self._camera = camera
        self._passports = dict(passports)
        self._share = share
        self._random = random.Random(seed)
        self._recent: deque[_Snippet] = deque(maxlen=RECENT)
        self._event: str | None = None
        self._block: list[_Snippet] = []
        """Of the open event; or of quiet time that was chosen."""
        self._left = 0
        """Snippets of quiet time until the next choice."""
        self._chosen = False

    def push(self, rows: Mapping[str, np.ndarray], start: datetime, end: datetime) -> None:
        """The newest snippet's features, `(D,)` or `(C, D)` for each stream."""
        snippet = _Snippet(rows=rows, start=start, end=end)
        if self._recent and start < self._recent[-1].start:  # a clock that went back
            self._recent.clear()
        self._recent.append(snippet)
        if self._event is None:
            if not self._left:
                self._chosen, self._left = self._random.random() < self._share, BLOCK
            self._left -= 1
        if self._event is not None or self._chosen:
            self._block.append(snippet)
        # Of an event, the newest may turn out to be no part of it. What cannot be written is left out.
        if len(self._block) >= (BLOCK if self._event is None else 2 * BLOCK):
            block, self._block = self._block[:BLOCK], self._block[BLOCK:]
            self._write(block, self._event)

    def begin(self, event: str, start: datetime) -> None:
        """An alert is due for an event that began then: all since belongs to it, and was not quiet."""
        before = [snippet for snippet in self._block if snippet.middle <= start] if self._event is None else []
        self._block = [snippet for snippet in self._recent if snippet.middle > start]
        self._chosen, self._left, self._event = False, 0, event
        self._store.drop_quiet(self._camera, start)
        self._write(before, None)

    def end(self, end: datetime) -> None:
        """It ended then; what came since is no part of it."""
        block, event = [snippet for snippet in self._block if snippet.middle < end], self._event
        self._event, self._block = None, []
        self._write(block, event)
        if event is not None:
            self._store.trim(event, end)

    def cut(self) -> None:
        """The source has a break, or is at its end: what comes is no continuation. An open event is ended before."""
        block, event = self._block, self._event
        self._recent.clear()
        self._event, self._block, self._left, self._chosen = None, [], 0, False
        self._write(block, event)

    def _write(self, block: Sequence[_Snippet], event: str | None) -> None:
        if block:
            streams = {stream: np.stack([one.rows[stream] for one in block]) for stream in block[0].rows}
            self._store.keep_features(
                self._camera, streams, self._passports, start=block[0].start, end=block[-1].end, event=event
            )
