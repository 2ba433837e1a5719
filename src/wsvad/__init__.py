"""Weakly-supervised video anomaly detection: from a folder of labelled videos to the moments that matter."""

__version__ = "0.1.0"
