"""What the course paper reports, typed in from its pages so that the prose can quote it by key.

    python experiments/paper.py

Source: M. Purohit, S. Pai, S. Parikh, "Semantic Image Segmentation for Mobile Platforms", Carnegie
Mellon University; Table 2, section 2.1 and section 3. Expected: results/paper.json, at once.
"""

from __future__ import annotations

import common

COLUMNS = ("accuracy", "miou", "seconds", "megabytes")
TABLE_2 = {
    "keras": (82.98, 28.73, 0.333, 36),
    "float16": (82.90, 28.63, 0.039, 15),
    "int8": (74.33, 27.89, 0.034, 3),
    "dynamic_range": (83.17, 28.74, 0.031, 6),
}
TEXT = {
    "input_size": 224,
    "adabound_val_miou": 43,
    "sgd_train_miou": 40,
    "threads": 4,
    "low_level_channels": 114,
    "high_level_channels": 320,
    "speed_up": 10,
}

if __name__ == "__main__":
    rows = {name: dict(zip(COLUMNS, row, strict=True)) for name, row in TABLE_2.items()}
    common.record("paper", {"table2": rows, **TEXT}, common.options(__doc__, data=False))
