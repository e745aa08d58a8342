"""Where a run came from: code, libraries, machine, command."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = (
    "rlvr",
    "numpy",
    "scipy",
    "pydantic",
    "pyarrow",
    "rich",
    "math-verify",
    "latex2sympy2_extended",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "jinja2",
    "reasoning-gym",
    "datasets",
    "tensorboard",
    "wandb",
)
DIFF_LIMIT_BYTES = 200_000
GIT_LIMIT_SECONDS = 1.0

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY", "PYTHONHASHSEED")


def collect(*, data_hashes: Mapping[str, str], verifier_versions: Mapping[str, str]) -> dict[str, Any]:
    """Gives what is known about code, libraries and machine, as JSON values; what cannot be found out is null.

    Takes a fraction of a second (a git that hangs: one second), imports no library and never raises. The caller, who
    may load torch, adds "gpu" and the number of threads it trains with.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "code": _code(Path(__file__).resolve().parents[1]),
        "cpu": _cpu(Path("/proc/cpuinfo")),
        "threads": _threads(),
        "data_hashes": dict(data_hashes),
        "verifier_versions": dict(verifier_versions),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except (metadata.PackageNotFoundError, OSError, ValueError, KeyError):
        return None


def _code(package: Path) -> dict[str, Any] | None:
    """Gives commit and uncommitted changes when the package lies in a checkout of its own, else None."""
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or Path(os.fsdecode(top).strip()) != package.parent:
        return None
    commit = _git(package, "rev-parse", "HEAD")
    diff = _git(package.parent, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color")
    return {
        "commit": None if commit is None else commit.decode("ascii", "replace").strip(),
        "diff_sha256": None if diff is None else hashlib.sha256(diff).hexdigest(),
        "diff_bytes": None if diff is None else len(diff),
        "diff": None if diff is None else diff[:DIFF_LIMIT_BYTES].decode("utf-8", "replace"),
    }


def _git(folder: Path, *arguments: str) -> bytes | None:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=GIT_LIMIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _cpu(cpuinfo: Path) -> dict[str, Any]:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags") or facts.get("Features") or ""
    return {
        "model": facts.get("model name") or platform.processor() or platform.machine(),
        "machine": platform.machine(),
        "flags": sorted(flags.split()),
    }


def _threads() -> dict[str, Any]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": os.cpu_count(),
        "usable_cores": usable,
        **{name: os.environ.get(name) for name in _THREAD_VARIABLES},
    }
