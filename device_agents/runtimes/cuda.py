"""The few functions of the CUDA runtime that a model needs, called in the library that JetPack installs.

Python packages for CUDA are left out: PyCUDA has no wheels and is compiled on the device, and NVIDIA's own follow
newer CUDA than older JetPacks have. These functions have been the same since CUDA 10.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from contextlib import suppress
from typing import Any, Protocol

from numpy.typing import NDArray

from edge_sdk.errors import MissingDependency, Unavailable

_NAMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so.10.2", "libcudart.so")
_TO_DEVICE, _TO_HOST = 1, 2  # cudaMemcpyKind
_PROCESSORS, _MAJOR, _MINOR = 16, 75, 76  # cudaDeviceAttr


class Gpu(Protocol):
    """What the runtime needs of a GPU: memory, copies, and one stream of work.

    Attributes:
        name: What tells this kind of GPU from others, e.g. ``sm87x8``.
        stream: Handle of the stream.
    """

    name: str
    stream: int

    def allocate(self, size_bytes: int) -> int:
        """Return the address of so much device memory."""

    def upload(self, address: int, values: NDArray[Any]) -> None:
        """Start a copy to the device."""

    def download(self, values: NDArray[Any], address: int) -> None:
        """Start a copy from the device."""

    def wait(self) -> None:
        """Return when the stream's work is done."""


class CudaGpu:
    """Implements `Gpu`. Its memory is freed with the process.

    Raises:
        MissingDependency: There is no CUDA runtime library.
        Unavailable: There is no GPU, or it has no memory left.
    """

    def __init__(self) -> None:
        self._library = _library()
        major, minor, processors = (self._attribute(number) for number in (_MAJOR, _MINOR, _PROCESSORS))
        self.name = f"sm{major}{minor}x{processors}"
        handle = ctypes.c_void_p()
        self._call("cudaStreamCreate", ctypes.byref(handle))
        self.stream = handle.value or 0

    def allocate(self, size_bytes: int) -> int:
        """Return the address of so much device memory."""
        address = ctypes.c_void_p()
        self._call("cudaMalloc", ctypes.byref(address), ctypes.c_size_t(size_bytes))
        return address.value or 0

    def upload(self, address: int, values: NDArray[Any]) -> None:
        """Start a copy to the device."""
        self._copy(address, values.ctypes.data, values.nbytes, _TO_DEVICE)

    def download(self, values: NDArray[Any], address: int) -> None:
        """Start a copy from the device."""
        self._copy(values.ctypes.data, address, values.nbytes, _TO_HOST)

    def wait(self) -> None:
        """Return when the stream's work is done."""
        self._call("cudaStreamSynchronize", ctypes.c_void_p(self.stream))

    def _copy(self, target: int, source: int, size_bytes: int, kind: int) -> None:
        pointers = (ctypes.c_void_p(target), ctypes.c_void_p(source), ctypes.c_size_t(size_bytes))
        self._call("cudaMemcpyAsync", *pointers, ctypes.c_int(kind), ctypes.c_void_p(self.stream))

    def _attribute(self, number: int) -> int:
        value = ctypes.c_int()
        self._call("cudaDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(number), ctypes.c_int(0))
        return value.value

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            self._library.cudaGetErrorString.restype = ctypes.c_char_p
            why = self._library.cudaGetErrorString(code).decode()
            raise Unavailable(f"the GPU refuses {name} ({why})", remedy="see that no other program holds it; restart")


def _library() -> ctypes.CDLL:
    for name in filter(None, (*_NAMES, ctypes.util.find_library("cudart"))):
        with suppress(OSError):
            return ctypes.CDLL(name)
    raise MissingDependency(
        "the CUDA runtime (libcudart) is not installed", remedy="on a Jetson: sudo apt-get install nvidia-jetpack"
    )
