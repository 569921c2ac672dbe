"""The errors of commands. The message of each is one sentence or two for the person at the keyboard."""


class CommandError(Exception):
    """The command cannot do its work: exit status 1."""

    status = 1


class ArgumentError(CommandError):
    """An argument of the command line is wrong: exit status 2."""

    status = 2
