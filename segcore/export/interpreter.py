"""The one place that opens LiteRT's interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segcore._stderr import quiet_stderr
from segcore.export.tflite import name_of


def open_interpreter(
    file: str | Path | bytes, threads: int | None = None, exact: bool = False, keep: bool = False
) -> Any:
    """LiteRT's interpreter for a file (its path or its bytes), ready to be fed.

    `exact` takes the slow reference kernels, whose integers `affine` reproduces to the bit; `keep`
    lets every operator's output be read afterwards, without the delegates that fuse them away.
    Raises ValueError for what LiteRT cannot read, and for fewer `threads` than one.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be 1 or more, not {threads}")
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError:  # the same class under its old name
        from tensorflow.lite import Interpreter
        from tensorflow.lite.experimental import OpResolverType
    kinds = OpResolverType
    plain = kinds.BUILTIN_REF if exact else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    source = {"model_content": file} if isinstance(file, bytes) else {"model_path": str(file)}
    try:
        with quiet_stderr():
            made = Interpreter(
                **source,
                num_threads=threads,
                experimental_op_resolver_type=plain if exact or keep else kinds.AUTO,
                experimental_preserve_all_tensors=keep,
            )
            made.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        why = str(error).splitlines()[0] if str(error) else "unknown"
        raise ValueError(f"{name_of(file)}: not a readable .tflite model ({why})") from None
    return made
