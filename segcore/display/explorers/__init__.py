"""Figures that answer to the hand: one idea each, one or two numbers to move, no kernel needed."""

from segcore.display.explorers.dilation import DilationExplorer as DilationExplorer
from segcore.display.explorers.paint_grid import PaintGrid as PaintGrid
