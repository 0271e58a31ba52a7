"""Writing tensors so that a partial file is never taken for a whole one."""

import errno
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from lwd_ros.files import written_whole


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write contiguous tensors and texts as a safetensors file, whole or not at all; raises OSError naming `path`."""
    with written_whole(path) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata=dict(metadata))
        except SafetensorError as error:  # what it makes of a full disk
            raise OSError(errno.EIO, str(error)) from error
