"""From a Keras network to a .tflite file, and a .tflite file as data."""
