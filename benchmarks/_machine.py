"""What every benchmark prints first: the machine, the versions, and that one thread is used."""

import os
import platform
from importlib import metadata
from pathlib import Path

PINS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


def pin(threads: int = 1) -> None:
    """Holds numeric libraries to `threads` threads; call it before they are imported."""
    for name in PINS:
        os.environ[name] = str(threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"


def describe(*packages: str) -> dict[str, object]:
    """Machine, Python, thread pins, load, and the versions of `packages` that are installed."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "threads": {name: os.environ.get(name, "not set") for name in PINS},
        "load_average": round(os.getloadavg()[0], 2),
        "versions": {name: version for name in packages if (version := _version(name))},
    }


def print_machine(*packages: str) -> dict[str, object]:
    """Prints what `describe` says, a line each, and returns it."""
    facts = describe(*packages)
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {version}" for key, version in value.items())
        print(f"{name.replace('_', ' '):14s}{value}")
    return facts


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
