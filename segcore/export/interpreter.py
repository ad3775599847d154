"""The one place that opens LiteRT's interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np

from segcore._stderr import quiet_stderr
from segcore.export.tflite import NO_FLATBUFFER, Source, opened

FLOATS = {0: np.float32, 1: np.float16}  # numbers of types in the schema
LARGEST_SCALE = 1e9  # those that ship reach 1.7
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
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"threads must be 1 to {MOST_THREADS}, not {threads}")
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.interpreter import OpResolverType as kinds

    plain = kinds.BUILTIN_REF if exact else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    file = opened(file)
    _check_numbers(file.name, file.content)
    try:
        with quiet_stderr():
            made = Interpreter(
                model_content=file.content,
                num_threads=threads,
                experimental_op_resolver_type=plain if exact or keep else kinds.AUTO,
                experimental_preserve_all_tensors=keep,
            )
            made.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        why = str(error).splitlines()[0] if str(error) else "unknown"
        raise ValueError(f"{file.name}: not a readable .tflite model ({why})") from error
    return made


def _check_numbers(name: str, content: bytes) -> None:
    """ValueError unless every scale of the file is positive, and every constant finite.

    LiteRT dies of other scales; and what is not finite looks like an answer behind an argmax.
    """
    from ai_edge_litert.schema_py_generated import Model

    try:
        model = Model.GetRootAs(content)
        graph = model.Subgraphs(0)
        tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
        parameters = [tensor.Quantization() for tensor in tensors]
        scales = [q.ScaleAsNumpy() for q in parameters if q is not None and q.ScaleLength()]
        stored = [(FLOATS.get(t.Type()), model.Buffers(t.Buffer())) for t in tensors]
        constants = [b.DataAsNumpy().view(kind) for kind, b in stored if kind and b.DataLength()]
    except (*NO_FLATBUFFER, AttributeError) as error:  # the second where it has no graph
        raise ValueError(f"{name}: not a readable .tflite model ({error})") from error
    for scale in scales:
        if not ((scale > 0) & (scale < LARGEST_SCALE)).all():
            raise ValueError(f"{name}: has a quantisation scale of {scale.min()}; export it anew")
    if not all(np.isfinite(values).all() for values in constants):
        raise ValueError(f"{name}: holds weights that are not finite; train it anew")
