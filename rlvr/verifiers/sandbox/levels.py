"""How strong the isolation is on this machine: decided by attacking it, not by version numbers.

4 remote       the code runs on another machine: a service that somebody else keeps
3 namespaces   bubblewrap, Landlock, system call filter, resource limits; an own user for root
2 landlock     the same without namespaces: no private file system, no disk quota
1 seatbelt     macOS; not built, so such a machine is at 0
0 none         resource limits at most; refused unless `allow_unsafe_execution`
"""

import functools
import os
import platform
import sys
from dataclasses import dataclass

from rlvr.errors import UsageError, VerifierError
from rlvr.verifiers.sandbox import launch
from rlvr.verifiers.sandbox.box import Box
from rlvr.verifiers.sandbox.launch import Interpreter, Launch
from rlvr.verifiers.sandbox.probes import Probe, examine
from rlvr.verifiers.sandbox.talk import BrokenError

NAMES = {4: "remote", 3: "namespaces", 2: "landlock", 1: "seatbelt", 0: "none"}
HIGHEST = 3
"""Of those that this machine gives by itself."""
LOWEST_ALLOWED = 2
LANDLOCK_ABI_WITH_NETWORK = 4
LANDLOCK_ABI_WITH_SCOPES = 6

MECHANISMS = {
    3: ("namespaces (bubblewrap)", "read-only root", "private /tmp of 16 MiB and 4096 files", "no /proc", "Landlock",
        "system call filter", "resource limits"),
    2: ("Landlock", "system call filter", "resource limits"),
    0: ("resource limits",),
}  # fmt: skip
NOT_ENFORCED = {
    3: ("memory that the kernel holds for a run (buffers, names of files) beside its address space",
        "CPU side channels and faults of the kernel"),
    2: ("no quota on the number of files while a run lasts", "no private process and network namespaces",
        "names, sizes and owners of files can be asked for", "libraries can be read where they lie",
        "CPU side channels and faults of the kernel"),
    0: ("files", "network", "other processes", "system calls"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the self-test found. `reasons` say why the level is not higher, `hint` what to type for a higher one."""

    level: int
    interpreter: Interpreter
    kernel: str
    landlock_abi: int
    uid: int
    is_capped: bool
    probes: tuple[Probe, ...]
    reasons: tuple[str, ...]
    hint: str

    @property
    def name(self) -> str:
        """The level's name."""
        return NAMES[self.level]

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """What confines a run at this level."""
        own = ("own user id",) if self.level >= LOWEST_ALLOWED and os.geteuid() == 0 else ()
        return (*MECHANISMS[self.level], *own)

    @property
    def not_enforced(self) -> tuple[str, ...]:
        """What this level does not keep a run from."""
        weak = self.level == LOWEST_ALLOWED and self.landlock_abi < LANDLOCK_ABI_WITH_SCOPES
        shared = ("threads of an ordinary user's runs at the same time are counted together",)
        alone = self.level != LOWEST_ALLOWED or os.geteuid() == 0
        scopes = ("signals and abstract sockets are kept back by the system call filter alone",) if weak else ()
        files = ("the number of files",) if self.level == HIGHEST and not self.is_capped else ()
        return (*NOT_ENFORCED[self.level], *(() if alone else shared), *scopes, *files)

    @property
    def is_allowed(self) -> bool:
        """Whether this level is used without being asked for by name."""
        return self.level >= LOWEST_ALLOWED

    def statement(self) -> str:
        """Gives the level and what it rests on, in one line."""
        parts = [
            f"sandbox level {self.level} ({self.name}): {', '.join(self.mechanisms)}",
            f"kernel {self.kernel}, Landlock ABI {self.landlock_abi}, uid {self.uid}",
            f"python {self.interpreter.version}",
            f"not enforced: {', '.join(self.not_enforced)}",
        ]
        return "; ".join(parts)

    def start(self) -> Box:
        """Starts a sandbox of this level. Raises BrokenError."""
        return Box(_launch(self.level, self.interpreter))


@functools.lru_cache(maxsize=64)
def assess(python: str = "", packages: tuple[str, ...] = (), highest: int = HIGHEST) -> Assessment:
    """Gives the highest level whose self-test holds here, for a Python (default: this one) with these packages.

    `highest` keeps it from trying for more.

    Raises UsageError for a package that is not there, VerifierError for a Python that cannot run, or where nothing can.
    """
    if platform.system() != "Linux":
        raise VerifierError(
            f"the sandbox needs Linux; this is {platform.system()}",
            hint="run rlvr in Docker or Lima, or use a remote sandbox",
        )
    for name in packages:
        if not name.isidentifier():
            raise UsageError(f"{name!r} is no name of a package to import")
    interpreter = launch.interpreter(python or sys.executable, packages)
    reasons: list[str] = []
    for level in (level for level in (3, 2, 0) if level <= highest):
        try:
            box = Box(_launch(level, interpreter))
        except (BrokenError, VerifierError) as error:
            reasons.append(f"level {level}: {error.message if isinstance(error, VerifierError) else error}")
            continue
        try:
            probes = examine(box) if level else ()
            abi, uid, capped = int(box.facts["landlock"]), int(box.facts["uid"]), bool(box.facts["capped"])
        finally:
            box.close()
        failed = [f"level {level}: {probe.what}: {probe.said}" for probe in probes if not probe.held]
        if level and abi < LANDLOCK_ABI_WITH_NETWORK:
            failed.append(f"level {level}: Landlock ABI {abi}; at least {LANDLOCK_ABI_WITH_NETWORK} is needed")
        if not failed:
            kernel, hint = platform.release(), _hint(level)
            return Assessment(level, interpreter, kernel, abi, uid, capped, probes, tuple(reasons), hint)
        reasons += failed
    raise VerifierError(f"no sandbox can be started here: {'; '.join(reasons)}", hint=_hint(0))


def demand(assessment: Assessment, *, allow_unsafe_execution: bool) -> None:
    """Raises VerifierError for a level that is refused unless it is asked for by name."""
    if not assessment.is_allowed and not allow_unsafe_execution:
        raise VerifierError(
            f"model-written code would run at sandbox level {assessment.level} ({assessment.name}); at least "
            f"{LOWEST_ALLOWED} is asked for. {'; '.join(assessment.reasons)}",
            hint=f"{assessment.hint}, or allow_unsafe_execution for code that you trust",
        )


def _launch(level: int, interpreter: Interpreter) -> Launch:
    if level >= 3:
        return launch.in_namespaces(interpreter)
    return launch.without_namespaces(interpreter, level=level)


def _hint(level: int) -> str:
    if level >= 3:
        return ""
    if launch.bubblewrap() is None:
        return "apt-get install bubblewrap libseccomp2"
    return "let bubblewrap make namespaces: run as root, or permit user namespaces; rlvr sandbox check says more"
