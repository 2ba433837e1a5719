"""Captions to a text stream."""


class Lsa:
    eats = "captions"
    summary = "captions, one JSON line a video"
    extra = "text"
    runtime = "sklearn"
