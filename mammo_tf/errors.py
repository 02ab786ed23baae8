"""The two faults that a user is told about in one message; everything else is a bug and keeps its traceback.

raise errors.DataError(path, "truncated: 1000 bytes of pixels expected, 900 found")
"""

from __future__ import annotations

from typing import Any


class MammoError(Exception):
    """A fault of the input or of the call: shown to the user as one message, without a traceback."""


class DataError(MammoError):
    """A file or table that cannot be used.

    Args:
        path: the file or folder at fault.
        reason: the rule that it breaks, with both sides of the mismatch.
    """

    def __init__(self, path: Any, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason

    def __reduce__(self):
        return type(self), (self.path, self.reason)


class MissingError(DataError):
    """A file or folder that is named somewhere and is not there."""
