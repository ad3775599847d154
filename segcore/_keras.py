"""Keras, imported without the log lines that TensorFlow prints on every machine without a GPU.

`from segcore._keras import keras` is `import keras` with the standard error of the process closed
for the seconds that the import takes; what Python raises is raised as ever.
"""

import os

from segcore._stderr import quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    import keras

    if "TF_CONFIG" not in os.environ:  # several machines must meet before the first operation
        keras.ops.zeros(1)  # it looks for a GPU, and says so

__all__ = ["keras", "quiet_stderr"]
