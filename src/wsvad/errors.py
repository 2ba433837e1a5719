"""The errors that a user sees: one line that names the file, what is wrong and what to do."""


class WsvadError(Exception):
    """Something outside the program is wrong (a file, a label, a disk). The message is one line for the user.

    The command line prints it without a traceback and exits with 1.
    """


class UsageError(WsvadError):
    """The command itself is wrong (an unknown name, two options that exclude each other). Exit status 2."""
