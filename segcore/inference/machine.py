"""What a time was taken on: processor, family and the instructions that decide, system, runtime.

Two processors behind one name ("AMD EPYC") can differ twofold in int8: one has AVX512-VNNI. So the
name alone says little about a time. Taught in chapter 9.
"""

import os
import platform
from importlib import metadata
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
FLAGS = (  # of instructions that inference and training choose their kernels by: x86, then arm64
    "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8",
    "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip


def machine() -> dict[str, str]:
    """Texts for `processor`, `family`, `flags`, `cores`, `system` and `runtime`, ready for JSON.

    `flags` lists those of FLAGS that the system reports; what it does not tell is "unknown".
    """
    facts = _facts(CPUINFO.read_text(encoding="utf-8") if CPUINFO.exists() else "")
    known = facts.get("flags") or facts.get("Features")  # x86 and arm64 under Linux
    flags = [flag for flag in FLAGS if flag in (known or "").split()]
    fields = ("cpu family", "model", "stepping")
    family = " ".join(f"{field} {facts[field]}" for field in fields if field in facts)
    return {
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "family": family.removeprefix("cpu ") or "unknown",
        "flags": "unknown" if known is None else " ".join(flags) or "none",
        "cores": f"{os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "runtime": f"LiteRT {version('ai-edge-litert')}",
    }


def _facts(cpuinfo: str) -> dict[str, str]:
    """The lines `key : value` of the first core."""
    first = cpuinfo.strip().split("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in first)
    return {key.strip(): value.strip() for key, _, value in pairs}


def version(package: str) -> str:
    """The version of an installed package, "not installed" for another."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
