"""Keras, imported without the log lines that TensorFlow prints on every machine without a GPU.

`from segcore.quiet import keras` is `import keras` with the standard error of the process closed
for the seconds that the import takes; what Python raises is raised as ever.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """File descriptor 2 leads nowhere inside the block: TensorFlow's C++ writes there directly."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    import keras

    keras.ops.zeros(1)  # the first operation looks for a GPU, and says so

__all__ = ["keras", "quiet_stderr"]
