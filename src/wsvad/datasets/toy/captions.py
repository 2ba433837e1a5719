"""What an attentive watchman would write about each snippet, in a small fixed language."""

import re

import numpy as np

from wsvad.datasets.toy.story import Story
from wsvad.video.clock import SNIPPET, snippet_count

CLAUSES = {
    "walk": ("person walks along the pavement", "people walk along the pavement"),
    "stand": ("person stands and waits", "people stand and wait"),
    "talk": ("person talks", "people talk to each other"),
    "squat": ("person squats to tie a shoe", "people squat to tie their shoes"),
    "cross": ("person crosses the road", "people cross the road"),
    "run": ("person runs fast", "people run fast"),
    "fight": ("person hits and kicks", "people hit and kick each other"),
    "fall": ("person falls down", "people fall down"),
    "lie": ("person lies on the ground and struggles to get up", "people lie on the ground and struggle to get up"),
    "help": ("person kneels down and helps", "people kneel down and help"),
    "climb": ("person climbs over the fence", "people climb over the fence"),
    "trespass": ("person moves about behind the fence", "people move about behind the fence"),
    "drive": ("car drives along the road", "cars drive along the road"),
    "mount": ("car drives on the pavement", "cars drive on the pavement"),
    "ride": ("cyclist rides along the road", "cyclists ride along the road"),
    "fly": ("bird flies past", "birds fly past"),
    "flash": ("bright flash with flames", "bright flashes with flames"),
    "smoke": ("cloud of thick smoke rises", "clouds of thick smoke rise"),
}
"""What an actor does → how it is told of one, and of several."""
NUMBERS = ("no", "a", "two", "three", "four", "several")
LIGHT = {
    (False, False): "by day",
    (True, False): "at night",
    (False, True): "in the rain",
    (True, True): "at night in the rain",
}
EMPTY = "nobody is there"


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text)


VOCABULARY = tuple(
    sorted(
        {
            w
            for text in (*NUMBERS[1:], *LIGHT.values(), EMPTY, *(c for pair in CLAUSES.values() for c in pair))
            for w in _words(text)
        }
    )
)
"""Every word that a caption can hold."""


def captions(story: Story) -> list[str]:
    """One caption for each of the T snippets: the actions that are in view for at least a quarter of it."""
    light = LIGHT[story.night, story.rain]
    lines = []
    for snippet in range(snippet_count(story.frames)):
        start, end = snippet * SNIPPET, min((snippet + 1) * SNIPPET, story.frames)
        counts = dict.fromkeys(CLAUSES, 0)
        for actor in story.actors:
            if not actor.actions:
                continue
            seen = [actor.action(frame) for frame in range(start, end) if actor.shown[frame]]
            for name in counts:
                counts[name] += 4 * seen.count(name) >= end - start
        clauses = [
            f"{NUMBERS[min(count, len(NUMBERS) - 1)]} {CLAUSES[name][count > 1]}"
            for name, count in counts.items()
            if count
        ]
        lines.append("; ".join(clauses or [EMPTY]) + f", {light}")
    return lines


def embed(lines: list[str]) -> np.ndarray:
    """T captions → `(T, len(VOCABULARY))` float32: how often each word occurs, `log(1 + count)`."""
    place = {word: index for index, word in enumerate(VOCABULARY)}
    counts = np.zeros((len(lines), len(VOCABULARY)), dtype=np.float32)
    for row, caption in zip(counts, lines, strict=True):
        for word in _words(caption):
            row[place[word]] += 1
    return np.log1p(counts)
