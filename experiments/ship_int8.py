"""The int8 file in the wheel: the shipped network at 257 pixels, made and calibrated anew.

    python experiments/ship_int8.py ../shared

Calibrated on the 52 train photos and 48 unlabelled ones, biases corrected (as "int8_257" in
results/precisions.json). The live page, the chapters and `segcore predict` use it. Run it
after every change of the checkpoint. Half a minute on two cores.
"""

import sys
from pathlib import Path

from precisions import calibration_of

from segcore import export, models, ptq, runtime

if __name__ == "__main__":
    network = models.pretrained(257, batch_size=1)
    content = ptq.convert(network, calibration_of(Path(sys.argv[1])))
    print(f"{export.write(runtime.PHONE, content).name}: {len(content) / 2**20:.2f} MiB")
