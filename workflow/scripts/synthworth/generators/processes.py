"""Processes of one training: one here, or one per GPU through accelerate."""

import json
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from synthworth.errors import StudyError


def launch(function: Callable[[], None], processes: int) -> None:
    """Calls `function` in this process, or in `processes` processes that accelerate joins in a group.

    On a machine without GPUs the group talks over gloo and computes on the CPU. An error in one process is raised; a
    StudyError comes out as it went in.
    """
    if processes == 1:
        function()
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            _launch_group(partial(_told, function, Path(folder) / "error.json"), processes)
        except Exception:
            # What the launchers raise says of an error only where it happened.
            if (Path(folder) / "error.json").exists():
                raise StudyError(**json.loads((Path(folder) / "error.json").read_text())) from None
            raise


def _launch_group(function: Callable[[], None], processes: int) -> None:
    import torch
    from accelerate import debug_launcher, notebook_launcher

    devices = torch.cuda.device_count()
    if devices == 0:
        debug_launcher(function, num_processes=processes)
    elif devices < processes:
        raise StudyError(
            "A generator asks for more GPUs than there are.",
            [f"found {devices}, asked for {processes}; set generators.<name>.gpus to {devices}"],
        )
    else:
        notebook_launcher(function, num_processes=processes, use_port=str(_free_port()))


def _told(function: Callable[[], None], file: Path) -> None:
    """Calls `function`, and leaves its StudyError in a file before the process ends with it."""
    try:
        function()
    except StudyError as error:
        file.write_text(json.dumps({"title": error.title, "problems": error.problems}))
        raise


def _free_port() -> int:
    """A port of its own for each group: two trainings on one machine must not meet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
