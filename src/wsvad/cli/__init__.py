"""The command line: parsers, messages, and one function a verb."""
