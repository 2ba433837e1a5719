"""What works on a node of a cluster: the networks, loaded once, and one video after the other."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from wsvad.device import device_of
from wsvad.encoders.encoder import Encoder
from wsvad.errors import WsvadError
from wsvad.extraction.device import AT_ONCE, move, runs_on
from wsvad.extraction.jobs import Event, Extraction, Finished, Job, do
from wsvad.extraction.workers import one_thread
from wsvad.features.store import Passport
from wsvad.files import is_file
from wsvad.version import __version__
from wsvad.video.decoding import hardware

LIBRARIES = (
    "av",
    "numpy",
    "opencv-python-headless",
    "torch",
    "onnxruntime",
    "ai-edge-litert",
    "openvino",
    "transformers",
)
"""Of whose version the numbers depend."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What every node has to see at the same place."""

    mark: Path
    """A file in the output folder."""
    video: Path | None = None
    """One of the videos."""
    size: int = 0
    """Its bytes."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Where a worker is, and why it may not work there."""

    node: str
    address: str
    problem: str = ""


def versions() -> dict[str, str]:
    """Of what features are made by, here."""
    found = {"wsvad": __version__}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


class Hand:
    """The actor. Two threads of it are called: one does a video, the other says how far it is."""

    def __init__(
        self, extraction: Extraction, wanted: Mapping[str, Mapping[str, Any]], known: Mapping[str, str], device: str
    ):
        """
        Args:
            wanted: stream → what its passport says, of encoders that the driver has made.
            known: library → its version, where the driver is.
        """
        self._extraction, self._wanted, self._known, self._device = extraction, wanted, known, device
        self._encoders: dict[str, tuple[Encoder, ...]] = {}
        self._at_once = 1
        self._events: list[Event] = []
        self._news = threading.Condition()
        self._ended = False

    def ready(self, seen: Seen) -> Ready:
        """Load the networks, and compare all that matters with what the driver has, before any work."""
        import ray

        context = ray.get_runtime_context()
        node, address = context.get_node_id(), ray.util.get_node_ip_address()
        return Ready(node=node, address=address, problem=self._problem(seen, f"node {address}"))

    def _problem(self, seen: Seen, node: str) -> str:
        here = versions()
        for library, ours in self._known.items():
            if here.get(library) != ours:
                there = here.get(library) or "none"
                return f"{node}: has {library} {there}, and this machine {ours}; install the same version on each node"
        if not is_file(seen.mark):
            return (
                f"{node}: does not see {seen.mark.parent} as this machine does; mount the same storage at the same "
                "path on each node"
            )
        if seen.video is not None and (not is_file(seen.video) or seen.video.stat().st_size != seen.size):
            return f"{node}: does not see {seen.video} as this machine does; mount the same storage at the same path"
        try:
            if self._extraction.decode == "hardware":
                hardware()
            self._load()
        except WsvadError as error:
            return f"{node}: {error}"
        for stream, wanted in self._wanted.items():
            made = self._extraction.passport(self._encoders[stream])
            if difference := made.difference(Passport(**wanted)):
                return f"{node}: its {stream} encoder is another one ({difference}); copy the same files to each node"
        return ""

    def _load(self) -> None:
        os.environ["OMP_NUM_THREADS"] = "1"
        parts = self._extraction.parts()
        self._encoders = self._extraction.joined(parts)
        one_thread()  # as on one machine, which the bytes of the features depend on
        device = device_of(self._device)
        each = [encoder for some in parts.values() for encoder in some]
        if device != "cpu" and any(runs_on(encoder, device) for encoder in each):
            move(each, device)
            self._at_once = AT_ONCE

    def do(self, job: Job) -> tuple[list[Event], Finished]:
        """Do a job; what was not reported yet, and its end."""
        with self._news:
            self._ended = False
        try:
            finished = do(job, self._encoders, self._extraction, self._tell, self._at_once)
        finally:
            with self._news:
                self._ended = True
                self._news.notify_all()
        with self._news:
            left, self._events = self._events, []
        return left, finished

    def progress(self, seconds: float) -> list[Event]:
        """What happened in the next seconds; as soon as the job is done, at the latest."""
        with self._news:
            self._news.wait_for(lambda: self._ended, seconds)
            news, self._events = self._events, []
        return news

    def _tell(self, event: Event) -> None:
        with self._news:
            self._events.append(event)
