"""Encoders make one stream from a video. Found by name: `motion`, `onnx:FILE`, `pose:FILE`, `flow`, `lsa` …"""

from wsvad.encoders.build import ENCODERS, Listing, auto, build, list_encoders, models_folder, resolve

__all__ = ["ENCODERS", "Listing", "auto", "build", "list_encoders", "models_folder", "resolve"]
