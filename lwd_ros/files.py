"""Writing files so that a partial one is never taken for a whole one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to, which takes its place when the block ends without an error.

    Raises:
        OSError: naming `path`, where the disk is full or may not be written; what is there already stays.
    """
    # Of this process: two that write the same file must not take each other's away.
    temporary = path.with_suffix(f"{path.suffix}.{os.getpid()}.partial")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, f"cannot be written ({error.strerror or error})", str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
