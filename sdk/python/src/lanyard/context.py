"""The context of a call: the broker to call, and the identity to call it with."""

from __future__ import annotations

import os
from pathlib import Path

HEADER = "lanyard-context"
Metadata = tuple[tuple[str, str], ...]


def metadata_of(context: str | os.PathLike[str] | None) -> Metadata:
    """Returns the metadata that name a context: the given file or name, else LANYARD_CONTEXT, else none (the current context)."""
    named = os.fspath(context) if context is not None else os.environ.get("LANYARD_CONTEXT", "")
    if not named:
        return ()
    is_file = os.sep in named or Path(named).is_file()
    return ((HEADER, str(Path(named).absolute()) if is_file else named),)
