"""A role's interpreter that loads the role's libraries once, and forks a step whenever the runner hands one over.

    runner --- control: one byte, a leash and a log for each step ---> zygote
    runner <-- leash: the request; "started" and the exit status ----> guard, forked from the zygote
                                                                       └── step, forked from the guard: its own group

It loads one library after another and forks in between, so that no step waits for more than one import. Only libraries
are loaded, none that starts a thread or opens a file, and of this project only how Feast is imported: a component that
was edited is read anew. Standard library only, for it runs in every role. Under a guard of its own: it ends when the
runner does.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import socket
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

from local.runner import guard

_EXECUTOR = "kfp.dsl.executor_main"


class _Over(Exception):  # noqa: N818 (not an error)
    """There are no more steps to fork."""


def main(control: socket.socket, modules: list[str]) -> None:
    """Serves steps until the runner is gone. In a process forked for a step, this call is where the step runs."""
    with contextlib.suppress(_Over):
        for module in modules:
            while select.select([control], [], [], 0)[0]:
                _serve(control)
            _load(module)
        gc.collect()
        gc.freeze()  # a child's collector then leaves alone, and unwritten to, the pages it shares
        while True:
            _serve(control)


def _load(module: str) -> None:
    """Imports a library; one that is missing or does not load is the step's to complain about."""
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # Feast's import would switch all warnings on
        importlib.import_module(module)


def _serve(control: socket.socket) -> None:
    message, descriptors, _, _ = socket.recv_fds(control, 1, 2)
    if not message or threading.active_count() > 1:  # the runner has gone, or no child would be sound: it does without
        raise _Over
    if os.fork() == 0:
        control.close()
        _guard(socket.socket(fileno=descriptors[0]), descriptors[1])
    for descriptor in descriptors:
        os.close(descriptor)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:  # guards that have ended since
            pass


def _guard(leash: socket.socket, log: int) -> None:
    """Forks the step and reports what becomes of it. Never returns."""
    os.setsid()
    line = leash.makefile("rb").readline()
    if not line.endswith(b"\n"):  # the runner thought better of it
        os._exit(0)
    request = json.loads(line)
    _tell(leash, "started")
    step = os.fork()
    if step == 0:
        os.setpgid(0, 0)
        leash.close()
        _run(request, log)
    with contextlib.suppress(OSError):  # both do it: whoever comes first, the group is there from here on
        os.setpgid(step, step)
    _tell(leash, str(guard.keep(step, leash.fileno(), request["scratch"])))
    os._exit(0)


def _tell(leash: socket.socket, line: str) -> None:
    with contextlib.suppress(OSError):  # the runner may have gone
        leash.sendall(line.encode() + b"\n")


def _run(request: dict[str, Any], log: int) -> None:
    """Makes this process what `python3 -m kfp.dsl.executor_main` would be, runs that, and ends as it does."""
    for descriptor in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(log, descriptor)
    os.close(log)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    sys.path[0] = request["folder"]
    importlib.invalidate_caches()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # `random` sees to itself after a fork
    program = Path(tempfile.mkdtemp(), "ephemeral_component.py")
    program.write_text(request["source"], encoding="utf-8")
    sys.argv = ["", "--component_module_path", str(program), *request["arguments"]]
    runpy.run_module(_EXECUTOR, run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
