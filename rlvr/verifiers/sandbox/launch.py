"""How a fork server is started: the interpreter, what it may see, the command, and its settings."""

import base64
import contextlib
import functools
import json
import os
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.errors import UsageError, VerifierError
from rlvr.verifiers.sandbox import policy

HERE = Path(__file__).parent
INSIDE = "/sandbox"
FILES = ("zygote.py", "confine.py", "driver.py", "codec.py", "examiner.py")
BOX, OTHER_BOX = "/tmp", "/box"
"""Where the box stands inside; the other one where what has to be read, a package say, lies in the host's /tmp."""
BOX_BYTES = 16 << 20
BOX_FILES = 4096
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
SYSTEM_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/lib", "/lib64")
FLAGS = ("-s", "-S", "-B", "-P", "-X", "utf8")
"""Not -I: it would ignore the hash seed, and the order of a set would differ between two runs."""
FIRST_TO_GO = ("/bin/sh", "-c", 'echo 1000 2>/dev/null >/proc/self/oom_score_adj; exec "$@"', "sh")
"""Makes what follows the first that a kernel out of memory kills. All of the sandbox takes it over from here, because
there is no /proc inside to say it; the trusted side keeps its own score."""
QUERY_SECONDS = 60.0
SHARED_USER_HEADROOM = 200
"""How many more threads the user may come to have, where the sandbox has no user of its own."""
FIRST_UID, NUM_UIDS = 1_880_000_000, 267_000_000
"""Above what containers and services take, below what a signed number holds."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python to run submissions with: its own file, the folders that it needs, and where asked packages lie."""

    executable: str
    version: str
    folders: tuple[str, ...]
    masked: tuple[str, ...]
    packages: tuple[str, ...]
    package_paths: tuple[str, ...]
    package_folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Launch:
    """One fork server to start. `box` is a folder of its own on the host where there are no namespaces."""

    command: tuple[str, ...]
    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    box: str
    headroom: int


_QUERY = """
import importlib.util, json, os, sys, sysconfig
paths = sysconfig.get_paths()
found = {"executable": os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
         "version": sys.version.split()[0], "prefix": os.path.realpath(sys.base_prefix),
         "stdlib": paths["stdlib"], "platstdlib": os.path.join(sys.base_exec_prefix, sys.platlibdir),
         "libdir": sysconfig.get_config_var("LIBDIR") or "", "packages": {}}
for name in sys.argv[1:]:
    spec = importlib.util.find_spec(name)
    if spec is not None:
        found["packages"][name] = list(spec.submodule_search_locations or [spec.origin])
print(json.dumps(found))
"""


@functools.cache
def interpreter(python: str, packages: tuple[str, ...]) -> Interpreter:
    """Asks a Python where it is. Raises VerifierError where it cannot be asked, UsageError for a missing package."""
    try:
        done = subprocess.run(
            [python, "-P", "-c", _QUERY, *packages], capture_output=True, text=True, timeout=QUERY_SECONDS, check=True
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise VerifierError(
            f"the interpreter {python} cannot be used: {error}", hint="name one that runs: python=PATH"
        ) from error
    missing = [name for name in packages if name not in found["packages"]]
    if missing:
        raise UsageError(
            f"the sandbox should have {', '.join(missing)}, which {python} cannot import",
            hint=f"{python} -m pip install {' '.join(missing)}",
        )
    prefix = found["prefix"]
    folders = [found["stdlib"], found["platstdlib"], found["libdir"], os.path.join(prefix, "lib")]
    places = [path for paths in found["packages"].values() for path in paths]
    parents = list(dict.fromkeys(os.path.dirname(place) for place in places))
    bundled = [os.path.join(os.path.dirname(place), f"{os.path.basename(place)}.libs") for place in places]
    return Interpreter(
        executable=found["executable"],
        version=found["version"],
        folders=tuple(sorted({folder for folder in folders if os.path.isdir(folder)}, key=len)),
        masked=tuple(filter(os.path.isdir, [os.path.join(found["stdlib"], "site-packages")])),
        packages=packages,
        package_paths=(*places, *filter(os.path.isdir, bundled)),
        package_folders=tuple(parents),
    )


def bubblewrap() -> str | None:
    """Gives the path of bubblewrap, None where it is not installed."""
    return shutil.which("bwrap")


def own_uid() -> int:
    """Gives a user id that nobody else has, for one sandbox; 0 for who is not root and keeps their own."""
    if os.geteuid() != 0:
        return 0
    number = secrets.randbelow(NUM_UIDS)
    ranges = [(0, 1 << 32)]
    with contextlib.suppress(OSError, ValueError):
        lines = Path("/proc/self/uid_map").read_text().splitlines()
        ranges = [(int(inside), int(size)) for inside, _, size in (line.split() for line in lines)]
    start, size = max(ranges, key=lambda entry: entry[1])
    if start + size > FIRST_UID + NUM_UIDS:
        return FIRST_UID + number
    return start + size // 2 + number % max(1, size // 2 - 1)


def in_namespaces(python: Interpreter) -> Launch:
    """Gives a fork server inside bubblewrap. Raises VerifierError where that is not installed."""
    program = bubblewrap()
    if program is None:
        raise VerifierError("bubblewrap is not installed", hint="apt-get install bubblewrap")
    box = _box(python)
    command = [
        *FIRST_TO_GO, program,
        "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--as-pid-1", "--new-session", "--hostname", "sandbox",
        *([] if os.geteuid() == 0 else ["--unshare-user", "--cap-add", "CAP_SYS_ADMIN"]),
        *_mounts(python, box),
        "--chdir", box, "--", python.executable, *FLAGS, f"{INSIDE}/zygote.py",
    ]  # fmt: skip
    readable = [*_system_folders(), *python.folders, *python.package_paths, *DEVICES]
    return Launch(tuple(command), _settings(python, readable, box=box, level=3), _environment(), "", 2)


def without_namespaces(python: Interpreter, *, level: int) -> Launch:
    """Gives a fork server that Landlock and the filter alone confine (level 2), or resource limits alone (level 0)."""
    closed = _closed_to_others(python) if os.geteuid() == 0 else ""
    if closed and level > 0:
        raise VerifierError(
            f"only its owner may enter {closed}, where {python.executable} needs to read, and a sandbox of root has a "
            "user of its own",
            hint=f"chmod o+x {closed}, or another interpreter",
        )
    box = tempfile.mkdtemp(prefix="rlvr-box-")
    try:
        settings = _settings(python, [*_system_folders(), *python.folders, *python.package_paths, *DEVICES], box, level)
        settings["uid"] = 0 if closed else settings["uid"]
        if settings["uid"]:
            os.chown(box, settings["uid"], settings["uid"])
    except BaseException:
        os.rmdir(box)
        raise
    command = (*FIRST_TO_GO, python.executable, *FLAGS, str(HERE / "zygote.py"))
    headroom = 2 if settings["uid"] else _num_tasks() + SHARED_USER_HEADROOM
    return Launch(command, settings, _environment(), box, headroom)


def _closed_to_others(python: Interpreter) -> str:
    """Gives the first folder above what the interpreter reads that another user may not enter; "" for none."""
    for path in (python.executable, *python.folders, *python.package_paths, str(HERE)):
        for folder in reversed(Path(path).parents):
            if not folder.stat().st_mode & stat.S_IXOTH:
                return str(folder)
    return ""


def _num_tasks() -> int:
    """Gives how many threads this user has."""
    found = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry.stat().st_uid == os.geteuid():
                found += len(os.listdir(entry / "task"))
    return found


def _settings(python: Interpreter, readable: Sequence[str], box: str, level: int) -> dict[str, Any]:
    landlock = [list(dict.fromkeys(readable)), [box], ["/dev/null"]]
    uid = own_uid()
    allowed = policy.compiled(modes_and_times=level >= 3 or uid != 0) if level >= 2 else b""
    return {
        "box": box,
        "namespaces": level >= 3,
        "uid": uid,
        "quota": [BOX_BYTES, BOX_FILES],
        "packages": python.packages,
        "package_folders": python.package_folders,
        "landlock": landlock if level >= 2 else None,
        "filter": base64.b64encode(allowed).decode(),
    }


def _environment() -> dict[str, str]:
    """Gives the whole environment of a submission; nothing of the host's is in it."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", **threads}


def _system_folders() -> list[str]:
    return [folder for folder in SYSTEM_FOLDERS if os.path.isdir(folder)]


def _box(python: Interpreter) -> str:
    needed = (python.executable, *python.folders, *python.package_paths)
    return OTHER_BOX if any(_within(path, BOX) for path in needed) else BOX


def _mounts(python: Interpreter, box: str) -> list[str]:
    """Gives the arguments that make the sandbox's file system: read-only but for the box, with no /proc and no /sys."""
    made: list[str] = []
    bound: list[str] = []
    arguments: list[str] = []

    def parents(path: str) -> None:
        # bubblewrap makes parents that only root may pass, and a sandbox of root's has an own user.
        for parent in reversed(Path(path).parents[:-1]):
            if str(parent) not in made and not any(_within(str(parent), other) for other in bound):
                arguments.extend(("--perms", "0755", "--dir", str(parent)))
                made.append(str(parent))

    def bind(path: str, kind: str = "--ro-bind", to: str = "") -> None:
        parents(to or path)
        arguments.extend((kind, path, to or path))

    for folder in (*_system_folders(), *python.folders):
        if os.path.islink(folder):
            arguments.extend(("--symlink", os.readlink(folder), folder))
        elif not any(_within(folder, other) for other in bound):
            bind(folder)
            bound.append(folder)
    for path in python.masked:
        arguments.extend(("--perms", "0755", "--size", "65536", "--tmpfs", path))
    for path in (python.executable, *python.package_paths, *filter(os.path.exists, ["/etc/ld.so.cache"])):
        if path in python.package_paths or not any(_within(path, other) for other in bound):
            bind(path)
    for path in python.masked:
        arguments.extend(("--remount-ro", path))
    for device in DEVICES:
        bind(device, "--dev-bind")
    for name in FILES:
        if (HERE / name).is_file():
            bind(str(HERE / name), to=f"{INSIDE}/{name}")
    return [*arguments, "--perms", "0777", "--size", str(BOX_BYTES), "--tmpfs", box, "--remount-ro", "/"]


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
