"""The words of labels.csv: what people and spreadsheets write for normal and abnormal, training and test."""

import re
from difflib import get_close_matches
from functools import cache

LABELS = {
    **dict.fromkeys(("normal", "false", "no", "nein", "falsch", "non", "faux", "falso", "não", "nie", "нет"), 0),
    **dict.fromkeys(("abnormal", "anomaly", "true", "yes", "ja", "wahr", "oui", "vrai", "vero", "sí", "sì"), 1),
    **dict.fromkeys(("verdadero", "verdadeiro", "sim", "tak", "да"), 1),
}
"""Also what spreadsheets of other languages write for TRUE and FALSE."""
UNCLEAR = {
    "unknown", "unclear", "unlabelled", "unlabeled", "unsure", "maybe", "none", "nothing", "nan", "null", "n/a", "na",
    "tbd", "todo", "skip", "ignore", "ok", "okay", "safe", "unsafe", "good", "bad", "background", "negative",
    "positive", "clean", "train", "test", "event", "regular", "usual", "ordinary", "routine", "y", "n", "x", "t", "f",
}  # fmt: skip
"""Words that are no categories, but leave open which label they are."""
SPLITS = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
    **dict.fromkeys(("validation", "val", "valid", "validierung"), "validation"),
}


@cache
def label_of(text: str) -> int | str:
    """0 or 1; a word that is a category is itself.

    Raises:
        ValueError: neither is meant for sure; the reason, or nothing.
    """
    word = text.lower()
    if found := re.fullmatch(r"([01])(?:[.,]0+)?", word):
        return int(found[1])
    if word in LABELS:
        return LABELS[word]
    if not re.fullmatch(r"[^\W\d_][\w &'()+,./;-]{,100}", word) or word in UNCLEAR:
        raise ValueError
    if "normal" in word:
        raise ValueError("is it normal?")
    if near := get_close_matches(word, ("normal", "abnormal"), 1, 0.75):
        raise ValueError(f"is it '{near[0]}'?")
    return text


def is_category(text: str) -> bool:
    """Whether a label of that text is a category."""
    try:
        return label_of(text) == text
    except ValueError:
        return False
