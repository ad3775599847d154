"""A model file segments photos, is scored on a folder of them, and is timed."""
