"""The system calls that a decoder may make, as a filter of the kernel (seccomp, mode 2).

Every other call fails with EPERM: it cannot open files, connect, start a program or thread, or
affect another process. The filter is a program of classic BPF (linux/filter.h) over `struct seccomp_data`.
"""

import ctypes
import errno
import platform
import struct
from typing import Final

_PR_GET_SECCOMP: Final = 21
_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
_ALLOW: Final = 0x7FFF_0000
_FAIL: Final = 0x0005_0000 | errno.EPERM
_LOAD_WORD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_AT_NUMBER: Final = 0
_AT_MACHINE: Final = 4

# read write close fstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn pread64 readv writev
# sched_yield mremap madvise getpid exit gettimeofday getrusage sigaltstack gettid time futex sched_getaffinity
# restart_syscall clock_gettime clock_nanosleep exit_group newfstatat getrandom membarrier rseq
_X86_64: Final = (
    *(0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 17, 19, 20, 24, 25, 28, 39, 60, 96, 98, 131, 186, 201, 202, 204),
    *(219, 228, 230, 231, 262, 318, 324, 334),
)
# the same without `time`, which does not exist there
_AARCH64: Final = (
    *(63, 64, 57, 80, 62, 222, 226, 215, 214, 134, 135, 139, 67, 65, 66, 124, 216, 233, 172, 93, 169, 165, 132, 178),
    *(98, 123, 128, 113, 115, 94, 79, 278, 283, 293),
)
_MACHINES: Final = {"x86_64": (0xC000_003E, _X86_64), "aarch64": (0xC000_00B7, _AARCH64)}
"""AUDIT_ARCH of linux/audit.h, and the numbers of the calls."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def is_available(libc: ctypes.CDLL) -> bool:
    """Whether this kernel has filters, and the calls of this machine are listed here."""
    return platform.machine() in _MACHINES and libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def restrict(libc: ctypes.CDLL) -> None:
    """Apply the filter to this thread permanently. Needs PR_SET_NO_NEW_PRIVS. Raises OSError."""
    machine, numbers = _MACHINES[platform.machine()]
    program = [(_LOAD_WORD, 0, 0, _AT_MACHINE), (_JUMP_EQUAL, 1, 0, machine), (_RETURN, 0, 0, _FAIL)]
    program.append((_LOAD_WORD, 0, 0, _AT_NUMBER))
    # If a number matches the call, jump over the remaining numbers and the failure.
    program += [(_JUMP_EQUAL, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
    program += [(_RETURN, 0, 0, _FAIL), (_RETURN, 0, 0, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    whole = _Program(len(program), ctypes.addressof(code))
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(whole), 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")
