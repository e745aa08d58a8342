"""What this machine can do, what is installed, and what to type for what is missing."""

import asyncio
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rlvr import __version__
from rlvr.app.memory import machine_bytes
from rlvr.types import Completion, Task, read_only

State = Literal["ok", "missing", "note"]

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "train": ("torch", "transformers", "tokenizers", "safetensors", "jinja2", "matplotlib", "reasoning_gym"),
    "hub": ("datasets",),
    "judge": ("openai",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
}
"""What each extra installs, by import name."""

ESSENTIAL = ("numpy", "scipy", "pydantic", "rich", "pyarrow", "math_verify")
LOW_MEMORY_BYTES = 4e9
LOW_DISK_BYTES = 2e9
SELF_TEST_SECONDS = 60.0
_COLOURS = {"ok": "green", "missing": "red", "note": "yellow"}


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `advice` says what to type. Without an essential one nothing works."""

    name: str
    state: State
    finding: str
    advice: str = ""
    essential: bool = False


def doctor() -> list[Check]:
    """Gives all findings, in the order in which they are printed."""
    checks = [_python(), Check("rlvr", "ok", __version__), _core()]
    checks += [_extra(name, modules) for name, modules in EXTRAS.items()]
    checks += [_machine(), _memory(), _disk()]
    torch_there = importlib.util.find_spec("torch") is not None
    checks += [_guarded("torch", _torch), _guarded("accelerator", _accelerator)] if torch_there else []
    checks.append(_guarded("verifier pool", _pool, essential=True))
    checks.append(_guarded("code sandbox", _sandbox))
    return checks


def print_checks(checks: list[Check]) -> None:
    """Prints the findings to stdout as a table."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        finding = Text(check.finding)
        if check.advice:
            finding.append(f"\ntype: {check.advice}" if check.state == "missing" else f"\n{check.advice}", style="bold")
        table.add_row(Text(check.state, style=_COLOURS[check.state]), Text(check.name), finding)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _guarded(name: str, check: Callable[[], Check], *, essential: bool = False) -> Check:
    """Gives the check's finding, or as its finding the error that it ran into: the doctor reports, it does not fail."""
    try:
        return check()
    except Exception as error:
        return Check(name, "missing", f"{type(error).__name__}: {error}", "make setup", essential)


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} ({sys.executable})")


def _core() -> Check:
    missing = [module for module in ESSENTIAL if importlib.util.find_spec(module) is None]
    if missing:
        return Check("core packages", "missing", f"without {', '.join(missing)}", "pip install rlvr", essential=True)
    return Check("core packages", "ok", _versions(ESSENTIAL))


def _extra(name: str, modules: tuple[str, ...]) -> Check:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    label = f"rlvr[{name}]"
    if not missing:
        return Check(label, "ok", _versions(modules))
    state: State = "missing" if name == "train" else "note"
    return Check(label, state, f"not installed: {', '.join(missing)}", f'pip install "rlvr[{name}]"')


def _versions(modules: tuple[str, ...]) -> str:
    found = []
    for module in modules:
        try:
            found.append(f"{module} {importlib.metadata.version(module.replace('_', '-'))}")
        except importlib.metadata.PackageNotFoundError:
            found.append(module)
    return ", ".join(found)


def _machine() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("processor", "ok", f"{usable} usable cores, {platform.system()} {platform.machine()}")


def _memory() -> Check:
    free, total = machine_bytes()
    finding = f"{free / 1e9:.1f} GB available of {total / 1e9:.1f} GB"
    if free < LOW_MEMORY_BYTES:
        return Check("memory", "note", finding, "under 4 GB: see the estimate of rlvr train RECIPE --dry-run")
    return Check("memory", "ok", finding)


def _disk() -> Check:
    free = shutil.disk_usage(".").free
    finding = f"{free / 1e9:.1f} GB free in {Path.cwd()}"
    if not os.access(".", os.W_OK):
        return Check("disk", "note", f"{finding}, not writable", "runs=FOLDER puts runs elsewhere")
    if free < LOW_DISK_BYTES:
        return Check("disk", "note", finding, "under 2 GB: runs keep every rollout and checkpoint")
    return Check("disk", "ok", finding)


def _torch() -> Check:
    import torch

    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    fast = "amx_bf16" in flags or "avx512_bf16" in flags
    precision = "the processor has bfloat16" if fast else "no bfloat16 in the processor: keep model.dtype=float32 there"
    return Check("torch", "ok", f"{torch.__version__}, {build}, {torch.get_num_threads()} threads; {precision}")


def _accelerator() -> Check:
    import torch

    if not torch.cuda.is_available():
        return Check("accelerator", "note", "none: model.device=cpu; the laptop recipe needs none")
    names = [
        f"cuda:{index} {torch.cuda.get_device_name(index)}, "
        f"{torch.cuda.get_device_properties(index).total_memory / 1e9:.0f} GB"
        for index in range(torch.cuda.device_count())
    ]
    precision = "bfloat16" if torch.cuda.is_bf16_supported() else "no bfloat16: keep model.dtype=float32"
    return Check("accelerator", "ok", f"{'; '.join(names)}; {precision}")


def _pool() -> Check:
    """Scores a right and a wrong answer that only computer algebra can tell apart, in worker processes."""
    from rlvr.verifiers.pool import close_shared
    from rlvr.verifiers.scorer import Scorer

    task = Task("doctor", ({"role": "user", "content": "Expand (x+1)^2."},), "x^2+2x+1", "math", "doctor", "doctor")
    answers = [_completion(r"\boxed{(x+1)^2}"), _completion(r"\boxed{(x+1)^3}")]
    began = time.perf_counter()
    scorer = Scorer()
    try:
        verdicts = asyncio.run(asyncio.wait_for(scorer.score(task, answers), SELF_TEST_SECONDS))
    finally:
        scorer.close()
        close_shared()
    outcomes = [verdict.outcome for verdict in verdicts]
    if outcomes != [1.0, 0.0]:
        states = ", ".join(verdict.status for verdict in verdicts)
        return Check("verifier pool", "missing", f"gave {outcomes} ({states}), expected [1.0, 0.0]", "make setup", True)
    return Check("verifier pool", "ok", f"math_verify told right from wrong in {time.perf_counter() - began:.1f} s")


def _sandbox() -> Check:
    """Attacks the sandbox that model-written code runs in."""
    from rlvr.verifiers.sandbox.levels import HIGHEST, assess

    found = assess()
    if found.level == HIGHEST:
        return Check("code sandbox", "ok", found.statement())
    state: State = "note" if found.is_allowed else "missing"
    return Check("code sandbox", state, f"{found.statement()}; {'; '.join(found.reasons)}", found.hint)


def _completion(text: str) -> Completion:
    return Completion(read_only([], "int64"), read_only([], "float32"), read_only([], "bool"), text, "stop", 0)
