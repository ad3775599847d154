"""The networks that ship with segcore: one table behind every command, default and test."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
FLOAT = WEIGHTS / "deeplabv3plus_mnv2_voc.npz"
PHONE = WEIGHTS / "deeplabv3plus_mnv2_voc_int8_257.tflite"
SHARP = WEIGHTS / "deeplab_lean_voc_int8_513.tflite"
LEAN_HEAD = WEIGHTS / "deeplab_lean_head_voc.npz"  # its encoder is that of FLOAT
