"""The progress bar of an epoch.

model.fit(..., verbose=0, callbacks=[Bar()])
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import keras


class Bar(keras.callbacks.Callback):
    """A progress bar on a terminal's standard error, redrawn at most five times a second."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.title, self.drawn = f"epoch {epoch + 1}/{self.params['epochs']}", 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        done, steps, now = batch + 1, self.params["steps"], time.monotonic()
        if now - self.drawn > 0.2:
            self.drawn = now
            bar = "#" * (30 * done // steps)
            sys.stderr.write(f"\r{self.title} [{bar:.<30}] {done}/{steps} loss {float(logs['loss']):.4f} ")
            sys.stderr.flush()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        sys.stderr.write("\r\033[K")  # the log line of the epoch takes the bar's place
