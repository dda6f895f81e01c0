"""A secret text that is shown only on request."""

from __future__ import annotations

from typing import NoReturn, final


@final
class Secret:
    """A secret, such as a token. Prints as `[redacted]`, and is neither pickled nor copied.

    The only way to the text is `expose()`, which can be searched for. Two secrets are equal only if they are the same object.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def expose(self) -> str:
        """Returns the text itself. Hand it to what needs it, and keep it nowhere: never in a log, an error or a prompt."""
        return self._text

    def __repr__(self) -> str:
        return "Secret([redacted])"

    def __str__(self) -> str:
        return "[redacted]"

    def __format__(self, _spec: str) -> str:
        return "[redacted]"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a secret is neither pickled nor copied")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret is neither pickled nor copied")
