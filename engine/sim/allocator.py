"""Freed memory: kept in the process for torch on the CPU, or given back after large sessions were made."""
from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h


@cache
def keep_freed_memory(largest: int = 256 << 20, kept: int = 512 << 20) -> bool:
    """Tell the C library to reuse freed tensors instead of returning them to the system.

    Torch allocates every activation anew. By default glibc maps large blocks from the system and
    unmaps them when freed, so each tensor pays for its page faults: half of the time of a small CNN in
    batches. Blocks up to `largest` bytes are now reused, and up to `kept` bytes stay unused in the
    process. Returns whether the C library took it; elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, largest)) and bool(mallopt(_TRIM_THRESHOLD, kept))


def give_back() -> bool:
    """Return to the system what the C library keeps of freed memory, whatever `keep_freed_memory` says; takes some milliseconds.

    ONNX Runtime frees about as much as it keeps when it makes a session. Returns whether there was anything to return.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (OSError, AttributeError):
        return False
