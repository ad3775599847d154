"""The int8 files in the wheel: the shipped network at 257 pixels, the lean one at 513.

    python experiments/ship_int8.py

Calibrated on a hundred train photos, biases corrected ("int8_257" in results/precisions.json). The
live page, the chapters and `segcore predict` use them. Run it after every change of the checkpoint.
Two minutes on two cores.
"""

from __future__ import annotations

import common

from segcore import shipped
from segcore._files import write_bytes
from segcore.export.labels import with_labels
from segcore.models import pretrained
from segcore.quantisation.bias_correction import to_int8

if __name__ == "__main__":
    calibration = common.calibration(common.options(__doc__).shared)
    for network in (shipped.PHONE, shipped.SHARP):
        source = pretrained.load(network.size, network.made_from, batch_size=1)
        content = with_labels(to_int8(source, calibration), network.class_names)
        print(f"{write_bytes(network.file, content).name}: {len(content) / 2**20:.2f} MiB")
