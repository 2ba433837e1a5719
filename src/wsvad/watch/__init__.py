"""Cameras in, alerts out: the process that watches."""
