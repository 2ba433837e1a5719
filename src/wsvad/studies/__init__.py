"""Comparisons over methods, configurations and datasets."""
