"""Changes to ``relay_passes/relay/``."""

from __future__ import annotations

from tests.mutants_code.change import Change

_GOLDENS = "relay_passes/test_relay_goldens.py"
_TEXT = "relay_passes/test_relay_text.py"
_FOLDER = "relay_passes/relay"

RELAY: tuple[Change, ...] = (
    Change(
        f"{_FOLDER}/operators/normalization.py",
        "gamma counts although scale is False",
        'scale = gamma if op.flag("scale", True)',
        'scale = gamma if op.flag("scale", True) or True',
        f"{_GOLDENS}::test_operator[batch_norm_no_scale]",
    ),
    Change(
        f"{_FOLDER}/operators/normalization.py",
        "beta counts although center is False",
        'shift = beta if op.flag("center", True)',
        'shift = beta if op.flag("center", True) or True',
        f"{_GOLDENS}::test_operator[batch_norm_no_center]",
    ),
    Change(
        f"{_FOLDER}/operators/pooling.py",
        "windows are rounded down",
        "behind[i] += -room % strides[i]",
        "behind[i] += 0",
        f"{_GOLDENS}::test_operator[max_pool2d_ceil]",
    ),
    Change(
        f"{_FOLDER}/operators/pooling.py",
        "what the last window reaches beyond the padding counts",
        'if op.flag("count_include_pad") and op.flag("ceil_mode"):',
        "if False:",
        f"{_GOLDENS}::test_operator[avg_pool2d_ceil_include]",
    ),
    Change(
        f"{_FOLDER}/operators/convolution.py",
        "a depthwise kernel of several filters a channel stays as TOPI has it",
        "if groups == channels and turned.shape[0] == channels and groups > 1:",
        "if False:",
        f"{_GOLDENS}::test_operator[depthwise_multiplier_topi]",
    ),
    Change(
        f"{_FOLDER}/operators/layout.py",
        "padding is the same on both sides",
        "return pads[:axes], pads[axes:]",
        "return pads[:axes], pads[:axes]",
        f"{_GOLDENS}::test_operator[conv2d_pads]",
    ),
    Change(
        f"{_FOLDER}/operators/pooling.py",
        "a window of the last axis reaches as far as one of the first",
        "behind[i] += -room % strides[i]",
        "behind[i] += -room % strides[0] * (i == 0)",
        f"{_GOLDENS}::test_other_ranks[max_pool_ceil_3d]",
    ),
    Change(
        f"{_FOLDER}/operators/elementwise.py",
        "round is half to even",
        'return op.emit("Mul", op.emit("Sign", data), op.emit("Floor", up))',
        'return op.emit("Mul", op.emit("Sign", data), op.emit("Floor", op.emit("Abs", data)))',
        f"{_GOLDENS}::test_operator[round]",
    ),
    Change(
        f"{_FOLDER}/operators/resize.py",
        "an open rounding is down always",
        '("round" if places == "align_corners" else "floor")',
        '"floor"',
        f"{_GOLDENS}::test_operator[resize2d_open_align_corners]",
    ),
    Change(
        f"{_FOLDER}/operators/quantized.py",
        "sums have the scale of the operands as they are printed",
        "return _real_sums(op, value, given)",
        "return _real_sums(op, value, value.scale)",
        f"{_GOLDENS}::test_quantized_network",
    ),
    Change(
        f"{_FOLDER}/operators/quantized.py",
        "the bias of sums is lost",
        "real = sums.write(scale, bias)",
        "real = sums.write(scale, None)",
        f"{_GOLDENS}::test_quantized_network",
    ),
    Change(
        f"{_FOLDER}/operators/quantized.py",
        "a scale of sums may be any",
        "same = given.size in (1, sums_channels(value)) and np.allclose(",
        "same = True or np.allclose(",
        f"{_TEXT}::test_sums_of_another_scale_are_refused",
    ),
    Change(
        f"{_FOLDER}/operators/operation.py",
        "attributes that nobody knows are left out",
        "for name in self.attrs.keys() - self._read:",
        "for name in ():",
        f"{_TEXT}::test_what_is_no_network_is_refused_by_its_line",
    ),
    Change(
        f"{_FOLDER}/convert.py",
        "the types of the text are not compared",
        "if call.type is not None:",
        "if False:",
        f"{_TEXT}::test_what_is_no_network_is_refused_by_its_line",
    ),
    Change(
        f"{_FOLDER}/parser.py",
        "a name may be bound twice",
        "        if name in self._bound:\n            raise refusal(",
        "        if False:\n            raise refusal(",
        f"{_TEXT}::test_what_is_no_network_is_refused_by_its_line",
    ),
    Change(
        f"{_FOLDER}/ndarray.py",
        "bytes behind the last array are left out",
        "if self._position != len(self._data):",
        "if False:",
        f"{_TEXT}::test_spoilt_parameters_are_refused",
    ),
)
