"""Blocks that two methods or more share; they know no method."""
