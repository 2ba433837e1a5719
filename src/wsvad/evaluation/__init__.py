"""Protocols, reports, comparisons."""
