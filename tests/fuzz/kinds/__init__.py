"""A module a kind of file."""
