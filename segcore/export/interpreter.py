"""The one place that opens LiteRT's interpreter."""

from typing import Any

import numpy as np

from segcore._errors import check, damage_named
from segcore._files import quiet_stderr
from segcore.export.tflite import File, Source, opened

FLOATS = {0: np.float32, 1: np.float16}  # numbers of types in the schema
LARGEST_SCALE = 1e9  # those that ship are at most 1.7
UNREADABLE = "not a readable .tflite model"
MOST_THREADS = 256  # with a hundred thousand, the process dies


def open_interpreter(
    file: Source, threads: int | None = None, exact: bool = False, keep: bool = False
) -> Any:
    """LiteRT's interpreter for a file (its path, its bytes or a `tflite.File`), ready to be fed.

    `threads` is the runtime's choice where it is None. `exact` takes the slow reference kernels,
    whose integers `quantisation.integers` reproduces to the bit; `keep` lets every operator's
    output be read afterwards, without the delegates that fuse them away. Raises ValueError for
    what LiteRT cannot read, and unless `threads` is 1 to 256.
    """
    possible = threads is None or 1 <= threads <= MOST_THREADS
    check("threads", threads, possible, f"1 to {MOST_THREADS}")
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.interpreter import OpResolverType as kinds

    plain = kinds.BUILTIN_REF if exact else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    file = opened(file)
    _check_numbers(file)
    with damage_named(file.name, UNREADABLE), quiet_stderr():
        made = Interpreter(
            model_content=file.content,
            num_threads=threads,
            experimental_op_resolver_type=plain if exact or keep else kinds.AUTO,
            experimental_preserve_all_tensors=keep,
        )
        made.allocate_tensors()
    return made


def _check_numbers(file: File) -> None:
    """ValueError unless every scale of the file is positive, and every constant finite.

    LiteRT dies of other scales; and what is not finite looks like an answer behind an argmax.
    """
    with damage_named(file.name, UNREADABLE):
        tensors, buffers = file.graph.tensors, file.model.buffers
        scales = [tensor.quantization.scale for tensor in tensors if tensor.quantization]
        stored = [(FLOATS.get(tensor.type), buffers[tensor.buffer].data) for tensor in tensors]
        constants = [data.view(kind) for kind, data in stored if kind and data is not None]
    for s in scales:
        if s is not None and not ((s > 0) & (s < LARGEST_SCALE)).all():
            raise ValueError(f"{file.name}: has a quantisation scale of {s.min()}; export it anew")
    if not all(np.isfinite(values).all() for values in constants):
        raise ValueError(f"{file.name}: holds weights that are not finite; train it anew")
