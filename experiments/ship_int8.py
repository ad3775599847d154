"""The int8 files in the wheel: the shipped network at 257 pixels, the lean one at 513.

    python experiments/ship_int8.py ../shared

Calibrated on the 52 train photos and 48 unlabelled ones, biases corrected ("int8_257" in
results/precisions.json, "sharp" in results/lean_score.json). The live page, the chapters and
`segcore predict` use them. Run it after every change of the checkpoint; where that changes what
513 uses, run lean.py first. Two minutes on two cores.
"""

import sys
from pathlib import Path

from precisions import calibration_of

from segcore import shipped
from segcore._files import write_bytes
from segcore.models import pretrained
from segcore.quantisation.bias_correction import to_int8

if __name__ == "__main__":
    calibration = calibration_of(Path(sys.argv[1]))
    for path, make in (
        (shipped.PHONE, lambda: pretrained.load(257, "float", batch_size=1)),
        (shipped.SHARP, lambda: pretrained.load(513, "lean", batch_size=1)),
    ):
        content = to_int8(make(), calibration)
        print(f"{write_bytes(path, content).name}: {len(content) / 2**20:.2f} MiB")
