"""Processes of one training: one here, or one per GPU through accelerate."""

from collections.abc import Callable
from typing import Any


def launch(function: Callable[..., None], arguments: tuple[Any, ...], processes: int) -> None:
    """Calls `function(*arguments)` in this process, or in `processes` processes that accelerate joins in a group.

    On a machine without GPUs the group talks over gloo and computes on the CPU. An error in one process is raised.
    """
    if processes == 1:
        function(*arguments)
        return
    import torch
    from accelerate import debug_launcher, notebook_launcher

    if torch.cuda.device_count() >= processes:
        notebook_launcher(function, arguments, num_processes=processes)
    else:
        debug_launcher(function, arguments, num_processes=processes)
