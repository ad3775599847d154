"""Small, readable parts of a mobile semantic segmenter, from the photo to the mask on the page.

The modules stand in the order of the course: `voc`, `toy`, `data`, `metrics`, `blocks`, `models`,
`runtime`, `overlay`. Importing this package costs milliseconds: Keras is only loaded by `blocks`
and `models`.
"""

__version__ = "0.1.0"
