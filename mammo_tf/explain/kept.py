"""What was made of a model once, such as a traced function, kept with it: tracing a deep net takes seconds each time.

What is kept reads the variables when it is called, so it holds for other weights in the same model; it holds no
longer where a layer is swapped or its variables are replaced by others. It goes when the model goes.

    call = kept.of(model, ("gradient", shape), lambda: traced(model, shape))
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import keras

_PLACE = "_mammo_tf_kept"


def of(model: keras.Model, key: Hashable, make: Callable[[], Any]) -> Any:
    """What `make` gave the first time that this model was asked for this key."""
    found = vars(model).setdefault(_PLACE, {})  # beside Keras' attributes, whose tracker would look into it
    if key not in found:
        found[key] = make()
    return found[key]


def twin(model: keras.Model, key: Hashable, make: Callable[[], keras.Model]) -> keras.Model:
    """A copy kept with the model, with the weights that the model has now."""
    copy = of(model, key, make)
    copy.set_weights(model.get_weights())
    return copy
