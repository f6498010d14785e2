"""Pictures of masks: a PNG that a page holds itself."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

from zeroskip.runtime.render.pages.elements import Element, tag

SHOWN = 32  # filters and channels
GAP, GONE, LEFT = range(3)  # numbers of colours
PALETTE = ((0, 0, 0, 0), (128, 128, 128, 44), (108, 120, 136, 255))  # red, green, blue, alpha

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]


def mask_picture(mask: Mask, title: str) -> Element:
    """An image of a mask [K, C, *kernel], a pixel for each weight."""
    if not mask.size:
        return tag("p", "The layer has gone.", class_="note")
    pixels = mask_pixels(mask[:SHOWN, :SHOWN])
    data = base64.b64encode(png(pixels)).decode()
    return tag(
        "img",
        src=f"data:image/png;base64,{data}",
        width=pixels.shape[1],
        height=pixels.shape[0],
        alt=f"Mask of {title}",
    )


def mask_pixels(mask: Mask) -> Pixels:
    """Numbers of colours [height, width]: kernels as rectangles of their taps with gaps between,
    filters from top to bottom. Of three and more dimensions the leading ones lie side by side."""
    filters, channels, *kernel = mask.shape
    rows, cols = (kernel[-2], kernel[-1]) if len(kernel) > 1 else (1, kernel[0] if kernel else 1)
    planes = mask.reshape(filters, channels, -1, rows, cols).transpose(0, 3, 1, 2, 4)
    tiles = np.where(planes, LEFT, GONE).astype(np.uint8).reshape(filters, rows, channels, -1)
    if tiles.shape[1] * tiles.shape[3] > 1:
        tiles = np.pad(tiles, ((0, 0), (0, 1), (0, 0), (0, 1)), constant_values=GAP)
    return tiles.reshape(filters * tiles.shape[1], -1)


def png(pixels: Pixels) -> bytes:
    """A PNG of the palette's colours (ISO/IEC 15948)."""
    height, width = pixels.shape
    colors = np.array(PALETTE, np.uint8)
    lines = np.insert(pixels, 0, 0, axis=1)  # each begins with the number of its filter: none
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", colors[:, :3].tobytes()),
            _chunk(b"tRNS", colors[:, 3].tobytes()),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )
