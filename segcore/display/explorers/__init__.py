"""Figures that answer to the hand: one idea each, one or two numbers to move, no kernel needed."""

from segcore.display.explorers.alignment import AlignmentRuler as AlignmentRuler
from segcore.display.explorers.dilation import DilationExplorer as DilationExplorer
from segcore.display.explorers.paint_grid import PaintGrid as PaintGrid
from segcore.display.explorers.quantisation import MaskTable as MaskTable
from segcore.display.explorers.quantisation import QuantisationExplorer as QuantisationExplorer
from segcore.display.explorers.separable import SeparableSteps as SeparableSteps
