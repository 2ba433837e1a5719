"""Videos held out for a choice or a promise, once or in folds: of other scenes than the rest, as far as there are."""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.scenes import Scenes, units

Key = tuple[int, str]
"""Label and category."""


def hold_out(
    videos: Sequence[LabelledVideo], share: float, seed: int, before: Collection[str] = (), scenes: Scenes | None = None
) -> tuple[list[str], list[str]]:
    """Divide videos by a seeded draw from each category: names kept, names held out (list order).

    Every label with at least two videos keeps one and gives one; a label with a single video keeps it. Those that were
    held out `before`, when there were other videos, come first. Videos of one scene are on one side, which makes shares
    of categories less exact; `scenes.units` says when a scene is too large for that.
    """
    groups = units(videos, scenes or {})
    alone = all(len(group) == 1 for group in groups)
    out = _drawn(videos, share, seed, before) if alone else _drawn_groups(groups, videos, share, seed, before)
    return [v.name for v in videos if v.name not in out], [v.name for v in videos if v.name in out]


def _drawn(videos: Sequence[LabelledVideo], share: float, seed: int, before: Collection[str]) -> set[str]:
    groups: dict[Key, list[str]] = defaultdict(list)
    for video in videos:
        groups[video.label, video.category].append(video.name)
    draw = random.Random(seed)
    out: set[str] = set()
    for label in (0, 1):
        members = {
            key: sorted(draw.sample(names, len(names)), key=lambda name: name not in before)
            for key, names in sorted(groups.items())
            if key[0] == label
        }
        total = sum(map(len, members.values()))
        chosen = [name for names in members.values() for name in names[: round(share * len(names))]]
        if not chosen and total > 1:
            chosen = [max(members.values(), key=len)[0]]
        out.update(chosen[: max(total - 1, 0)])
    return out


def _drawn_groups(
    groups: Sequence[list[LabelledVideo]],
    videos: Sequence[LabelledVideo],
    share: float,
    seed: int,
    before: Collection[str],
) -> set[str]:
    """Groups by a seeded draw, those held out before first, as long as they bring categories nearer to their shares."""
    total, labels = _categories(videos), _labels(videos)
    wanted = {key: share * count for key, count in total.items()}
    drawn = random.Random(seed).sample(groups, len(groups))
    drawn.sort(key=lambda group: -sum(video.name in before for video in group) / len(group))
    out: list[LabelledVideo] = []

    def distance(some: Iterable[LabelledVideo]) -> float:
        got = _categories(some)
        return sum(abs(got[key] - count) for key, count in wanted.items())

    def possible(group: Sequence[LabelledVideo]) -> bool:
        got = _labels([*out, *group])
        return all(got[label] < labels[label] for label in _labels(group))

    for group in drawn:
        if possible(group) and distance([*out, *group]) < distance(out):
            out += group
    for label in (0, 1):
        if labels[label] > 1 and not _labels(out)[label]:
            some = [group for group in drawn if _labels(group)[label] and possible(group)]
            out += min(some, key=lambda group: distance([*out, *group]), default=[])
    return {video.name for video in out}


def folds(videos: Sequence[LabelledVideo], count: int, seed: int, scenes: Scenes | None = None) -> list[list[str]]:
    """Divide videos for cross-fitting: the names that each of the fits leaves out (list order).

    Each category is shuffled and dealt out like cards, one category after the other, so that the folds differ by at
    most one video in all, in each label and in each category. There are `count` folds, or as many as there are normal
    videos if those are fewer. Each normal video is in exactly one fold, each abnormal one too if there are at least
    two; so each fit keeps a video of each label and leaves out a normal one. Without two normal videos there is no
    fold.

    Videos of one scene are in one fold, as far as `scenes.units` allows: then folds are as even as scenes are, and no
    more than there are scenes with a normal video.
    """
    groups = units(videos, scenes or {})
    if any(len(group) > 1 for group in groups) and (found := _dealt_groups(groups, videos, count, seed)):
        return found
    members: dict[Key, list[str]] = defaultdict(list)
    for video in videos:
        members[video.label, video.category].append(video.name)
    totals = _labels(videos)
    count = min(count, totals[0])
    if count < 2:
        return []
    draw = random.Random(seed)
    shuffled = {key: draw.sample(names, len(names)) for key, names in sorted(members.items()) if totals[key[0]] > 1}
    dealt = [name for names in shuffled.values() for name in names]
    fold_of = {name: place % count for place, name in enumerate(dealt)}
    return [[video.name for video in videos if fold_of.get(video.name) == fold] for fold in range(count)]


def _dealt_groups(
    groups: Sequence[list[LabelledVideo]], videos: Sequence[LabelledVideo], count: int, seed: int
) -> list[list[str]]:
    """Large groups first, each to the fold with the fewest videos like its own; nothing where that cannot be done."""
    labels, total = _labels(videos), _categories(videos)
    # Of a label's only video no fit can be without.
    dealt = [group for group in groups if all(labels[label] > 1 for label in _labels(group))]
    count = min(count, sum(_labels(group)[0] > 0 for group in dealt))
    if count < 2:
        return []
    dealt = sorted(random.Random(seed).sample(dealt, len(dealt)), key=len, reverse=True)
    dealt.sort(key=lambda group: -_labels(group)[0])
    found: list[list[LabelledVideo]] = [[] for _ in range(count)]
    for group in dealt:
        own, of_label = _categories(group), _labels(group)

        def cost(fold: list[LabelledVideo], own: Counter[Key] = own, normal: int = of_label[0]) -> tuple[float, ...]:
            has = _categories(fold)
            return (_labels(fold)[0] * bool(normal), sum(has[key] * own[key] / total[key] for key in own), len(fold))

        free = [fold for fold in found if all(_labels([*fold, *group])[label] < labels[label] for label in of_label)]
        if not free:
            return []
        min(free, key=cost).extend(group)
    if not all(_labels(fold)[0] for fold in found):
        return []
    fold_of = {video.name: place for place, fold in enumerate(found) for video in fold}
    return [[video.name for video in videos if fold_of.get(video.name) == place] for place in range(count)]


def _categories(videos: Iterable[LabelledVideo]) -> Counter[Key]:
    return Counter((video.label, video.category) for video in videos)


def _labels(videos: Iterable[LabelledVideo]) -> Counter[int]:
    return Counter(video.label for video in videos)
