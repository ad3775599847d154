"""Keras, imported without the log lines that TensorFlow prints on every machine without a GPU.

`from segcore._keras import keras` is `import keras` with the standard error of the process closed
for the seconds that the import takes; what Python raises is raised as ever. TF_CPP_MIN_LOG_LEVEL
becomes 3 (nothing but what ends the process) unless it is set. No operation runs here.
"""

import os

from segcore._files import quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    import keras

__all__ = ["keras"]
