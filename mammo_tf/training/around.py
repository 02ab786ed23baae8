"""What a method round another method shows of it: those who ask for pipeline, stages and rule get the inner one's.

class Seeded(Around): ...
"""

from __future__ import annotations

from typing import Any


class Around:
    """A base for methods with an `inner` method."""

    inner: Any

    @property
    def pipeline(self) -> Any:
        return self.inner.pipeline

    @property
    def stages(self) -> Any:
        return self.inner.stages

    @property
    def select(self) -> Any:
        return self.inner.select
