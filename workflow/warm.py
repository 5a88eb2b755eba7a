"""Snakemake whose jobs start warm: each begins with the libraries already imported.

    python workflow/warm.py --cores 2 --configfile config/demo.yaml

takes what `snakemake` takes and does what it does. Imports are most of the time of a short job: here one process, the
server, makes them once, and each job is a fork of it. It has imported libraries alone and nothing of Synthworth, whose
code each job reads anew.

The server gives out a command, FOLDER/python, that takes a script or `-m module` as Python does; Snakemake starts its
jobs by the name `sys.executable`, which is that command.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

LIBRARIES = (
    *("numpy", "pandas", "pyarrow.parquet", "scipy.stats", "scipy.optimize", "scipy.interpolate", "sklearn.metrics"),
    *("cv2", "PIL.Image", "imagehash", "albumentations", "pydicom", "matplotlib.figure", "seaborn", "jinja2"),
    *("statsmodels.stats.multitest", "scikit_posthocs", "jsonschema", "yaml", "tqdm", "snakemake.cli", "threadpoolctl"),
    *("torch.optim.swa_utils", "torchvision", "timm.models", "safetensors.torch", "accelerate", "peft", "cleanfid"),
    *("diffusers.training_utils", "diffusers.models.unets", "diffusers.pipelines.ddpm", "diffusers.schedulers"),
    *("diffusers.models.autoencoders", "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion"),
    *("transformers.models.clip.modeling_clip", "transformers.models.clip.tokenization_clip"),
)
SERVE = "--serve"
# Hands its streams, arguments, folder and environment to the server, and its signals to the process that it stands for.
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
    server.shutdown(socket.SHUT_WR)
    with server.makefile() as answers:
        process = int(answers.readline())
        # The terminal sends it to that process too.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: os.kill(process, number))
        sys.exit(int(answers.readline()))
"""


@contextlib.contextmanager
def warm_python() -> Iterator[str]:
    """Starts a server and gives the path of its command; the server ends with the context, or with this process."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    # One thread while it imports: threads of a library do not outlive a fork. Each job then has its own number.
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, SERVE, str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not (folder / "python").exists():
            if server.poll() is not None:
                raise SystemExit("The server of warm starts has ended: run snakemake itself.")
            time.sleep(0.05)
        yield str(folder / "python")
    finally:
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def serve(folder: Path) -> None:
    """Serves the command FOLDER/python until its standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in LIBRARIES:
        importlib.import_module(name)
    # Finds Snakemake's plugins.
    sys.modules["snakemake.cli"].get_argument_parser()
    if any("/dev/nvidia" in os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()):
        sys.exit("A library has opened the GPU while it was imported: no fork could use it.")
    gc.collect()
    gc.freeze()
    # Whoever serves a client is not waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen(64)
        client = folder / "unnamed"
        client.write_text(CLIENT.format(python=sys.executable, address=str(folder / "socket")))
        client.chmod(0o755)
        client.rename(folder / "python")
        while sys.stdin not in (ready := select.select([listener, sys.stdin], [], [])[0]):
            connection, _ = ready[0].accept()
            if os.fork() == 0:
                listener.close()
                _wait_for_process(connection, str(folder / "python"))
                return
            connection.close()
    shutil.rmtree(folder, ignore_errors=True)


def _wait_for_process(connection: socket.socket, python: str) -> None:
    """Runs what the client asks for in a process of its own; tells the client its number, and then its exit status."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as message:
        arguments, folder, environment = json.loads(message.read())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if process := os.fork():
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(f"{process}\n".encode())
            _wait_for_either(process, connection)
            status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            connection.sendall(f"{status if status >= 0 else 128 - status}\n".encode())
        os._exit(0)
    connection.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # As each new process: with numbers of its own where none are asked for, which `random` sees to by itself.
    sys.modules["numpy"].random.seed()
    _limit_threads(int(environment.get("OMP_NUM_THREADS") or os.cpu_count()))
    _run(arguments, python)


def _wait_for_either(process: int, connection: socket.socket) -> None:
    """Waits for the end of a process; kills it once its client is gone, which cannot tell it any more."""
    ends = select.poll()
    ends.register(connection, 0)
    ends.register(os.pidfd_open(process), select.POLLIN)
    if [file for file, _ in ends.poll()] == [connection.fileno()]:
        os.kill(process, signal.SIGKILL)


def _limit_threads(threads: int) -> None:
    """What the libraries would have read from the environment when they were imported."""
    sys.modules["threadpoolctl"].threadpool_limits(threads)
    sys.modules["torch"].set_num_threads(threads)
    sys.modules["cv2"].setNumThreads(threads)


def _run(arguments: list[str], python: str) -> None:
    """Runs a module or a script and ends this process, without taking the libraries apart: that lasts a second."""
    status = 1
    try:
        if arguments[0] == "-m":
            # Snakemake starts its jobs by this name.
            sys.executable = python
            sys.argv = arguments[1:]
            sys.path.insert(0, os.getcwd())
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            sys.path.insert(0, str(Path(arguments[0]).parent))
            runpy.run_path(arguments[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Runs snakemake, its jobs being forks of a server."""
    with warm_python() as python:
        sys.executable = python
        from snakemake.cli import main as snakemake

        snakemake(sys.argv[1:])


if __name__ == "__main__":
    if sys.argv[1:2] == [SERVE]:
        serve(Path(sys.argv[2]))
    else:
        main()
