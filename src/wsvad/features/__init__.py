"""Streams on disk: one safetensors file a video and stream, each with its passport."""
