"""The fork server: process 1 of a sandbox, which keeps one confined child ready and gives it the next submission.

Standard library only, started by its path with the number of its control socket. It reads settings once, then messages:
"run" with limits and descriptors, "kill". It never reads what belongs to a submission, so that no later child can find
anything of it in memory. After each run it kills and reaps all that is left and empties the box. At the end of the
control socket, when the trusted side is gone, it ends.
"""

import array
import base64
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_MESSAGE = 1 << 18
MAX_LEFT_FILES = 2000
REAP_SECONDS = 5.0
CONFINE_SECONDS = 30.0
DRIVER_FAILED = 70
PRELOADED = ("bisect", "collections", "copy", "functools", "heapq", "itertools", "math", "operator", "re",
             "string", "traceback", "typing")  # fmt: skip
"""What most programs import. Not those that do something after each fork, as threading and random do."""


def beside(name: str) -> Any:
    """Loads a file of this folder as a module."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(name, os.path.join(HERE, f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Zygote:
    """The state of the fork server."""

    def __init__(self, control: socket.socket, settings: dict[str, Any]) -> None:
        self.control = control
        self.settings = settings
        self.box = settings["box"]
        self.alone = settings["namespaces"]
        self.confine = beside("confine")
        self.driver = beside("driver")
        self.codec = beside("codec") if os.path.exists(os.path.join(HERE, "codec.py")) else None
        self.filter: Any = None
        self.ruleset: int | None = None
        self.spare = 0
        self.spare_channel: socket.socket | None = None
        self.is_confined = False
        self.box_mode = 0
        self.is_capped = False

    def prepare(self) -> None:
        """Imports, gives up the user id, and makes ready what each child takes on."""
        sys.path.extend(self.settings["package_folders"])
        for name in (*PRELOADED, *self.settings["packages"]):
            importlib.import_module(name)
        self.driver.prepare(HERE)
        for folder in self.settings["package_folders"]:
            sys.path.remove(folder)
        landlock = self.settings["landlock"]
        if landlock:
            self.ruleset = self.confine.landlock_ruleset(*landlock)
        if self.settings["filter"]:
            self.filter = self.confine.Filter(base64.b64decode(self.settings["filter"]))
        if self.alone:
            with contextlib.suppress(OSError):
                self.confine.cap_files(self.box, *self.settings["quota"])
                self.is_capped = True
        if self.settings["uid"]:
            os.setgroups([])
            os.setresgid(*[self.settings["uid"]] * 3)
            os.setresuid(*[self.settings["uid"]] * 3)
        if os.geteuid():
            self.confine.drop_capabilities()
        os.environ.update(HOME=self.box, TMPDIR=self.box)
        os.chdir(self.box)
        os.umask(0o077)
        self.box_mode = os.stat(self.box).st_mode
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN)
        self.confine.prctl(self.confine.PR_SET_NO_NEW_PRIVS, 1)
        self.confine.prctl(self.confine.PR_SET_DUMPABLE, 0)
        if self.alone:
            self.confine.prctl(self.confine.PR_SET_PDEATHSIG, signal.SIGKILL)
        gc.collect()
        gc.freeze()

    def fork_spare(self) -> None:
        """Makes the next child: confined, waiting, and with nothing in its hands."""
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            mine.close()
            self._become_a_submission(its)
        its.close()
        self.spare, self.spare_channel, self.is_confined = pid, mine, False

    def await_spare(self) -> None:
        """Waits until the child has given up its powers. Raises OSError where it could not."""
        assert self.spare_channel is not None
        self.spare_channel.settimeout(CONFINE_SECONDS)
        said = self.spare_channel.recv(1000).decode(errors="replace")
        if said != "confined":
            raise OSError(f"it could not be confined: {said or 'it ended'}")

    def _become_a_submission(self, channel: socket.socket) -> NoReturn:
        try:
            self.control.close()
            confine = self.confine
            confine.prctl(confine.PR_SET_PDEATHSIG, signal.SIGKILL)
            confine.limit_for_good()
            if self.ruleset is not None:
                confine.landlock(self.ruleset)
                os.close(self.ruleset)
            if self.filter is not None:
                self.filter.take_on()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            channel.send(b"confined")
            job, stdin, stdout, stderr, data = receive(channel)[1]
            channel.close()
            for number, descriptor in enumerate((stdin, stdout, stderr)):
                os.dup2(descriptor, number)
                os.close(descriptor)
            self.driver.serve(job, data, self.codec)
        except BaseException as error:
            said = f"{type(error).__name__}: {error}".encode()[:500]
            with contextlib.suppress(OSError):
                channel.send(said)
            with contextlib.suppress(OSError):
                os.write(2, said)
        finally:
            os._exit(DRIVER_FAILED)

    def serve(self) -> None:
        """Runs submissions until the trusted side hangs up."""
        while True:
            message, descriptors = receive(self.control)
            if not message:
                return
            order = json.loads(message)
            if order["do"] == "run":
                reply = self._run(order, descriptors)
                try:
                    self.control.send(json.dumps(reply).encode())
                except OSError:  # the trusted side is gone
                    return
                self.fork_spare()

    def _run(self, order: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        pid, channel = self.spare, self.spare_channel
        assert channel is not None
        watched = os.pidfd_open(pid)
        fault = ""
        try:
            if not self.is_confined:
                self.await_spare()
            self.confine.limit_run(pid, order["cpu"], order["memory"], order["file"], order["threads"])
            socket.send_fds(channel, [b"run"], descriptors)
        except OSError as error:
            fault = f"the waiting child could not be given the run: {error}"
        finally:
            channel.close()
            for descriptor in descriptors:
                os.close(descriptor)
        killed = bool(fault) or self._wait(watched, order)
        os.close(watched)
        return {**self._clear(pid, killed), "killed": killed, "fault": fault}

    def _wait(self, watched: int, order: dict[str, Any]) -> bool:
        """Waits for the child's end or an order to end it; gives whether it was ordered or was overdue."""
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        poll.register(self.control, select.POLLIN)
        until = time.monotonic() + order["wall"]
        while (left := until - time.monotonic()) > 0:
            ready = {number for number, _ in poll.poll(left * 1000 + 1)}
            if watched in ready:
                return False
            if self.control.fileno() in ready:
                receive(self.control)
                return True
        return True

    def _clear(self, pid: int, killed: bool) -> dict[str, Any]:
        """Kills and reaps all that is left, empties the box, and says what it found."""
        until = time.monotonic() + REAP_SECONDS
        status, usage, others = None, None, 0
        if killed:
            os.kill(pid, signal.SIGKILL)
        while time.monotonic() < until:
            if status is not None and self.alone:
                kill_all()
            try:
                found, code, spent = os.wait4(-1, 0 if status is None else os.WNOHANG)
            except ChildProcessError:
                break
            if found == pid:
                status, usage = code, spent
            elif found:
                others += 1
            else:
                time.sleep(0.001)
        else:
            others += 1
        empty = empty_folder(self.box, self.box_mode)
        return {
            "code": None if status is None else os.waitstatus_to_exitcode(status),
            "cpu": usage.ru_utime + usage.ru_stime if usage else 0.0,
            "rss": usage.ru_maxrss * 1024 if usage else 0,
            "clean": empty and not others and status is not None,
        }


def kill_all() -> None:
    """Kills every process of this namespace but this one."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        return


def empty_folder(folder: str, mode: int) -> bool:
    """Removes what lies in a folder, up to MAX_LEFT_FILES; gives whether it is as good as new."""
    try:
        seen = os.stat(folder)
        if seen.st_mode != mode:
            return False
        waiting, folders, left = [folder], [], MAX_LEFT_FILES
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        return False
                    if entry.is_dir(follow_symlinks=False):
                        os.chmod(entry.path, 0o700)
                        waiting.append(entry.path)
                        folders.append(entry.path)
                    else:
                        os.unlink(entry.path)
        for path in reversed(folders):
            os.rmdir(path)
        if seen.st_uid == os.geteuid():
            os.utime(folder, ns=(0, 0))
        return True
    except OSError:
        return False


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Gives one message and the descriptors that came with it; b"" at the end."""
    try:
        message, ancillary, _, _ = channel.recvmsg(MAX_MESSAGE, socket.CMSG_SPACE(8 * 4))
    except ConnectionError:
        return b"", []
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return message, list(descriptors)


def main() -> None:
    """Reads the settings, says what it found or what went wrong, and serves."""
    control = socket.socket(fileno=int(sys.argv[1]))
    zygote = Zygote(control, json.loads(receive(control)[0]))
    try:
        zygote.prepare()
        zygote.fork_spare()
        zygote.await_spare()
        zygote.is_confined = True
    except BaseException as error:
        control.send(json.dumps({"error": f"{type(error).__name__}: {error}"[:2000]}).encode())
        raise
    found = {
        "capped": zygote.is_capped,
        "uid": os.getuid(),
        "landlock": zygote.confine.landlock_abi(),
    }
    control.send(json.dumps(found).encode())
    zygote.serve()
    if not zygote.alone:  # who made the folder may have been killed before it could remove it
        with contextlib.suppress(OSError):
            empty_folder(zygote.box, zygote.box_mode)
            os.rmdir(zygote.box)
    os._exit(0)


if __name__ == "__main__":
    main()
