"""Several files of one name below a dataset's folder: the first is used, the others are listed.

problems = copies.left_out([first, second])
"""

from __future__ import annotations

import filecmp
import pathlib
from collections.abc import Sequence

from mammo_tf import cases


def left_out(files: Sequence[pathlib.Path]) -> list[cases.Problem]:
    """A problem for each file but the first; a true copy of the first is none.

    Raises:
        cases.DataError: there are several, and one cannot be read.
    """
    out = []
    for other in files[1:]:
        try:
            same = filecmp.cmp(files[0], other, shallow=False)
        except OSError as error:
            raise cases.DataError(other, f"cannot be read: {error.strerror or error}") from None
        if not same:
            out.append(cases.Problem(str(other), f"another file of that name; {files[0]} is used", "left out"))
    return out
