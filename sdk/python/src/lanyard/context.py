"""The context of a call: the broker that it goes to, and the identity that it goes with."""

from __future__ import annotations

import os
from pathlib import Path

HEADER = "lanyard-context"
Metadata = tuple[tuple[str, str], ...]


def metadata_of(context: str | os.PathLike[str] | None) -> Metadata:
    """The metadata that name a context: a file or a name, else that of LANYARD_CONTEXT, else none for the user's current one."""
    named = os.fspath(context) if context is not None else os.environ.get("LANYARD_CONTEXT", "")
    if not named:
        return ()
    is_file = os.sep in named or Path(named).is_file()
    return ((HEADER, str(Path(named).absolute()) if is_file else named),)
