"""Where the time of an extraction goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass


@dataclass(kw_only=True)
class Spent:
    """Seconds of work, by what was done; of several threads or processes, all of them."""

    decode: float = 0.0
    """Reading and decoding."""
    convert: float = 0.0
    """Scaling, cutting and colours of what encoders read."""
    network: float = 0.0
    """Encoders; the wait for a device that another process owns is part of it."""
    write: float = 0.0

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Count what runs in the block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, what, getattr(self, what) + time.perf_counter() - started)

    def add(self, other: "Spent") -> None:
        self.decode += other.decode
        self.convert += other.convert
        self.network += other.network
        self.write += other.write

    def taken(self) -> "Spent":
        """What was counted; it begins at zero again."""
        counted = Spent(**asdict(self))
        self.decode = self.convert = self.network = self.write = 0.0
        return counted

    def shares(self) -> dict[str, float]:
        """Each part of the whole, the largest first; empty where nothing was counted."""
        all_of_it = sum(asdict(self).values())
        parts = {what: seconds / all_of_it for what, seconds in asdict(self).items()} if all_of_it > 0 else {}
        return dict(sorted(parts.items(), key=lambda part: -part[1]))
