"""A PyCUDA that needs no GPU: names and behaviour of the real one's wrapper (inducer/pycuda, src/wrapper/wrap_cudadrv.cpp)."""

import fake_nvidia as _fake

if not _fake.MACHINE.knobs.pycuda:
    raise ModuleNotFoundError("No module named 'pycuda'", name="pycuda")

VERSION = (2026, 1)
VERSION_STATUS = ""
VERSION_TEXT = "2026.1"
