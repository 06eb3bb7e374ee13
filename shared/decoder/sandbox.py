"""Restricts a decoder process: it may only use its memory and processor time, read its file and write its pipe.

Resource limits (setrlimit) apply on every kernel. Landlock (Linux 5.13) and seccomp forbid the rest,
if the kernel has them; `probe` reports whether it has. Landlock's calls have no function in the C library, and no
maintained package binds them: the numbers and structures here are those of linux/landlock.h.
"""

import ctypes
import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.decoder import seccomp

MEMORY_BYTES: Final = 192 * 1024 * 1024
"""Address space for one recording besides that of an idle process. The index of a recording of 4 hours takes 40 MB."""

_PR_SET_NO_NEW_PRIVS: Final = 38
_CREATE_RULESET: Final = 444
_RESTRICT_SELF: Final = 446
_GET_VERSION: Final = 1
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 5: 16}
"""Number of LANDLOCK_ACCESS_FS_* flags from each version on."""
_NETWORK_FROM: Final = 4
_SCOPES_FROM: Final = 6

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The sandbox features of the kernel."""

    landlock: int
    """Version of Landlock; 0: none."""
    seccomp: bool


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


def probe() -> Sandbox:
    version = _LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_GET_VERSION))
    return Sandbox(max(0, int(version)), seccomp.is_available(_LIBC))


def enter(sandbox: Sandbox, idle_bytes: int, cpu_s: int | None) -> None:
    """Permanently drop all rights that decoding does not need. `idle_bytes` is the address space before any work.

    Open descriptors stay usable; all modules must have been imported. Raises OSError if the kernel does not do
    what `probe` found.
    """
    if _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    if sandbox.landlock:
        _restrict_files_and_network(sandbox.landlock)
    bounds = {
        resource.RLIMIT_AS: idle_bytes + MEMORY_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 0,  # so no file or socket can be opened, on any kernel
        resource.RLIMIT_NPROC: 0,
    }
    if cpu_s is not None:
        bounds[resource.RLIMIT_CPU] = cpu_s
    for what, most in bounds.items():
        resource.setrlimit(what, (most, most + 1 if what == resource.RLIMIT_CPU else most))
    if sandbox.seccomp:
        seccomp.restrict(_LIBC)


def address_space_bytes() -> int:
    """Address space of this process."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _restrict_files_and_network(version: int) -> None:
    """Apply a ruleset without rules: everything that it handles is forbidden."""
    rights = max(count for since, count in _FILE_RIGHTS.items() if since <= version)
    ruleset = _Ruleset((1 << rights) - 1, 0b11 if version >= _NETWORK_FROM else 0, 0b11 * (version >= _SCOPES_FROM))
    # Older kernels reject a structure that is longer than theirs, unless the rest is 0: it is.
    descriptor = _LIBC.syscall(
        _CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(ctypes.sizeof(ruleset)), ctypes.c_uint32(0)
    )
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    try:
        if _LIBC.syscall(_RESTRICT_SELF, ctypes.c_int(descriptor), ctypes.c_uint32(0)) < 0:
            raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    finally:
        os.close(descriptor)
