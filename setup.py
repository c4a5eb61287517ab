"""Builds the one compiled module; everything else about the package is in pyproject.toml.

The limited API of Python 3.11 makes one abi3 wheel serve every later version.  setuptools
translates the .pyx with the Cython that [build-system] requires.
"""

from pathlib import Path

from setuptools import Extension, setup

LIMITED_API = "0x030B0000"
ROOM = Path("tablevault/rows")

rowcodec = Extension(
    "tablevault.rows.rowcodec",
    sources=[str(ROOM / "rowcodec.pyx")],
    depends=sorted(str(part) for part in ROOM.glob("rowcodec_*.pxi")),
    define_macros=[("Py_LIMITED_API", LIMITED_API)],
    extra_compile_args=["-O3", "-g0"],
    py_limited_api=True,
)

setup(
    ext_modules=[rowcodec],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
