"""A secret text that is shown only on request."""

from __future__ import annotations

from typing import NoReturn, final


@final
class Secret:
    """A secret, such as a token. Prints as `[redacted]`, and is neither pickled nor copied.

    The only access to the text is `expose()`, which a search of the source finds. Two secrets are equal only if identical.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def expose(self) -> str:
        """Returns the text itself. Pass it on at once, and never store it or put it into a log, an error or a prompt."""
        return self._text

    def __repr__(self) -> str:
        return "Secret([redacted])"

    def __str__(self) -> str:
        return "[redacted]"

    def __format__(self, _spec: str) -> str:
        return "[redacted]"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")
