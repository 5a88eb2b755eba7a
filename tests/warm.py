"""A Python whose processes begin with the libraries already imported, for the hundreds of jobs of studies in tests.

    python -P tests/warm.py FOLDER

serves, as FOLDER/python, a command that takes a script or `-m module` as Python does. Each process is a fork of this
server, which has imported libraries alone and nothing of Synthworth. It serves until its standard input ends.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path

LIBRARIES = (
    *("numpy", "pandas", "pyarrow.parquet", "scipy.stats", "scipy.optimize", "scipy.interpolate", "sklearn.metrics"),
    *("cv2", "PIL.Image", "imagehash", "albumentations", "pydicom", "matplotlib.figure", "seaborn", "jinja2"),
    *("statsmodels.stats.multitest", "scikit_posthocs", "jsonschema", "yaml", "tqdm", "snakemake.cli"),
    *("torch.optim.swa_utils", "torchvision", "timm.models", "safetensors.torch", "accelerate", "peft", "cleanfid"),
    *("diffusers.training_utils", "diffusers.models.unets", "diffusers.pipelines.ddpm", "diffusers.schedulers"),
    *("diffusers.models.autoencoders", "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion"),
    *("transformers.models.clip.modeling_clip", "transformers.models.clip.tokenization_clip"),
)
CLIENT = """#!{python} -IS
import json, os, socket, sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(8)))
"""


def serve(folder: Path) -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    # Finds Snakemake's plugins.
    sys.modules["snakemake.cli"].get_argument_parser()
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
    shutil.rmtree(folder)


def _wait_for_process(connection: socket.socket, python: str) -> None:
    """Runs what the client asks for in a process of its own and tells the client its exit status."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as message:
        arguments, folder, environment = json.loads(message.read())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if process := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        connection.sendall(str(status if status >= 0 else 128 - status).encode())
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # As each new process: with numbers of its own where none are asked for, which `random` sees to by itself.
    sys.modules["numpy"].random.seed()
    _run(arguments, python)


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


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
