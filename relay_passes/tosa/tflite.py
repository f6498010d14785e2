"""A file of TFLite as TOSA's text, by Arm's converter (the extra ``tflite``)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from zeroskip.relay_passes.errors import FrontError

_INSTALL = "pip install 'zeroskip[tflite]'"
_MAGIC = b"TFL3"  # at byte 4
_SECONDS = 600
# Foreign code that may end its process: so it has one of its own.
_CONVERT = """
import sys
from tosa_converter_for_tflite import (
    TosaConverterDebugInfo, TosaConverterOutputFormat, tflite_flatbuffer_to_tosa_mlir,
)
tflite_flatbuffer_to_tosa_mlir(
    sys.argv[1], sys.argv[2], TosaConverterOutputFormat.Text, TosaConverterDebugInfo.Enable
)
"""


def tflite_to_tosa(content: bytes, where: str) -> str:
    """TOSA's text, in which operators bear the names of TFLite's tensors.

    content: of the file. where: names it in messages. FrontError for what is no TFLite, for what
    the converter does not take, and where it is not installed.
    """
    if content[4:8] != _MAGIC:
        raise FrontError(
            f"'{where}' is not a TFLite model or is cut short: export or copy it again."
        )
    with TemporaryDirectory() as folder:
        source, result = Path(folder) / "net.tflite", Path(folder) / "net.mlir"
        source.write_bytes(content)
        try:
            done = subprocess.run(
                [sys.executable, "-c", _CONVERT, str(source), str(result)],
                capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise FrontError(f"'{where}': the converter to TOSA takes too long.") from None
        if done.returncode == 0 and result.exists():
            return result.read_text(encoding="utf-8", errors="replace")
    if "No module named" in done.stderr and "tosa_converter_for_tflite" in done.stderr:
        raise FrontError(f"'{where}': reading TFLite needs a converter to TOSA: {_INSTALL}")
    raise FrontError(
        f"'{where}' is not taken by the converter to TOSA ({_reason(done.stderr, done.returncode)}): "
        "export it with full int8 quantization (TFLITE_BUILTINS_INT8)."
    )


def _reason(said: str, code: int) -> str:
    """What the converter said, in one line."""
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    wanted = [line for line in lines if "error:" in line] or lines
    text = wanted[-1] if wanted else f"it ended with {code}"
    return text.rpartition("error: ")[2][:200]
