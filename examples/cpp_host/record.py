"""Run an exported network on inputs and record what its programs gave, for host.cpp.

    python examples/cpp_host/record.py net.so images.npy net.table

net.so: of ``export_library``, with one input. images.npy: float32, the leading axis counts them.
net.table: a record for each run of a program: the CRC-32 of program and inputs and the size of the
outputs, 64-bit little-endian, then the outputs' bytes.
"""

import io
import json
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import relax

import zeroskip

PACKED = "zeroskip.run"


def input_count(blob: bytes) -> int:
    """How many of a region's tensors its program reads; the others it writes."""
    with zipfile.ZipFile(io.BytesIO(blob)) as members:
        return len(json.loads(members.read("manifest.json"))["inputs"])


def main(library: str, images: str, table: str) -> None:
    zeroskip.register()
    run = tvm_ffi.get_global_func(PACKED)
    records: dict[int, bytes] = {}

    def recording(program: Any, *tensors: Any) -> None:
        blob = np.from_dlpack(program).tobytes()
        inputs = tensors[: input_count(blob)]
        crc = zlib.crc32(blob)
        for each in inputs:
            crc = zlib.crc32(np.from_dlpack(each).tobytes(), crc)
        run(program, *tensors)
        records[crc] = b"".join(np.from_dlpack(y).tobytes() for y in tensors[len(inputs) :])

    tvm_ffi.register_global_func(PACKED, recording, override=True)
    vm = relax.VirtualMachine(tvm.runtime.load_module(library), tvm.cpu())
    for image in np.load(images):
        vm["main"](tvm.runtime.tensor(image[None]))
    parts = (struct.pack("<2Q", crc, len(made)) + made for crc, made in records.items())
    Path(table).write_bytes(b"".join(parts))
    print(f"{len(records)} runs of programs recorded")


if __name__ == "__main__":
    main(*sys.argv[1:])
