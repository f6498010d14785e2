"""Networks of relay.testing and single operators, in Relay's own Python. Needs TVM up to 0.19."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from tvm import relay
from tvm.relay import testing

Build = Callable[[], Any]

IMAGE = (1, 4, 6, 8)


def networks() -> dict[str, Build]:
    """By name; images are as small as the networks take."""
    tests = testing

    def built(workload: Any) -> Any:
        """The network, with what its softmax reads as an output too: of large numbers a softmax
        makes 0 and 1."""
        main = workload[0]["main"]
        body = main.body
        if isinstance(body, relay.Call) and body.op.name == "nn.softmax":
            body = relay.Tuple([body.args[0], body])
        return tvm.IRModule.from_expr(relay.Function(main.params, body))

    return {
        "mlp": lambda: built(tests.mlp.get_workload(1)),
        "dqn": lambda: built(tests.dqn.get_workload(1)),
        "dcgan": lambda: built(tests.dcgan.get_workload(1, oshape=(3, 64, 64), ngf=8)),
        "dcgan_nhwc": lambda: built(tests.dcgan.get_workload(1, ngf=8, layout="NHWC")),
        "resnet18": lambda: built(tests.resnet.get_workload(1, 10, 18, image_shape=(3, 32, 32))),
        "resnet18_nhwc": lambda: built(
            tests.resnet.get_workload(1, 10, 18, image_shape=(32, 32, 3), layout="NHWC")
        ),
        "resnet50": lambda: built(tests.resnet.get_workload(1, num_layers=50)),
        "mobilenet": lambda: built(tests.mobilenet.get_workload(1, image_shape=(3, 64, 64))),
        "mobilenet_nhwc": lambda: built(
            tests.mobilenet.get_workload(1, image_shape=(64, 64, 3), layout="NHWC")
        ),
        "squeezenet": lambda: built(tests.squeezenet.get_workload(1, image_shape=(3, 64, 64))),
        "densenet": lambda: built(tests.densenet.get_workload()),
        "inception_v3": lambda: built(tests.inception_v3.get_workload(1)),
        "vgg11": lambda: built(tests.vgg.get_workload(1, image_shape=(3, 32, 32), num_layers=11)),
        "vgg11_bn": lambda: built(
            tests.vgg.get_workload(1, image_shape=(3, 32, 32), num_layers=11, batch_norm=True)
        ),
        "synthetic": lambda: built(tests.synthetic.get_workload()),
    }


def operators() -> dict[str, Build]:
    """Each operator and attribute that is converted, on its own."""
    x = relay.var("x", shape=IMAGE)
    y = relay.var("y", shape=IMAGE)
    n = relay.var("x", shape=(1, 6, 8, 4))
    i = relay.var("x", shape=IMAGE, dtype="int8")
    flag = relay.var("flag", shape=IMAGE, dtype="bool")
    four = [relay.var(name, shape=(4,)) for name in ("gamma", "beta", "mean", "var")]
    kernel = relay.var("weight", shape=(6, 4, 3, 3))
    nn, const = relay.nn, relay.const
    conv = {"channels": 6, "kernel_size": (3, 3)}
    cases: dict[str, Any] = {
        **{
            name: getattr(relay, name)(x)
            for name in (
                "abs",
                "ceil",
                "cos",
                "erf",
                "exp",
                "floor",
                "negative",
                "round",
                "sigmoid",
            )
        },
        **{name: getattr(relay, name)(x) for name in ("sign", "sin", "tanh")},
        **{
            name: getattr(relay, name)(relay.abs(x) + const(0.1))
            for name in ("log", "sqrt", "rsqrt")
        },
        **{
            name: getattr(relay, name)(x, y)
            for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum")
        },
        **{
            name: getattr(relay, name)(x, y)
            for name in ("equal", "greater", "greater_equal", "less", "less_equal")
        },
        "power": relay.power(relay.abs(x), const(1.5)),
        "logical": relay.logical_or(relay.logical_not(flag), relay.logical_and(flag, flag)),
        "where": relay.where(relay.greater(x, const(0.0)), x, y),
        "scalar": relay.multiply(const(0.5), relay.add(x, const(np.arange(8, dtype="float32")))),
        "copy": relay.copy(x),
        "clip": relay.clip(x, -0.5, 0.75),
        "clip_int8": relay.clip(i, -10, 99),
        "relu_int8": nn.relu(i),
        "cast": relay.cast(relay.cast(x * const(10.0), "int32"), "float32"),
        "relu": nn.relu(x),
        "leaky_relu": nn.leaky_relu(x, 0.1),
        "prelu": nn.prelu(x, relay.var("slope", shape=(4,))),
        "prelu_last": nn.prelu(x, relay.var("slope", shape=(8,)), axis=3),
        "dropout": nn.dropout(x),
        "zeros_like": relay.zeros_like(x) + relay.ones_like(x),
        "bias_add": nn.bias_add(x, relay.var("bias", shape=(4,))),
        "bias_add_last": nn.bias_add(x, relay.var("bias", shape=(8,)), axis=-1),
        "batch_norm": nn.batch_norm(x, *four)[0],
        "batch_norm_all": relay.Tuple(list(nn.batch_norm(x, *four))),
        "batch_norm_no_scale": nn.batch_norm(x, *four, scale=False)[0],
        "batch_norm_no_center": nn.batch_norm(x, *four, center=False, epsilon=0.1)[0],
        "batch_norm_last": nn.batch_norm(n, *four, axis=3)[0],
        "layer_norm": nn.layer_norm(n, *four[:2]),
        "layer_norm_axis": nn.layer_norm(x, *four[:2], axis=1, scale=False),
        "instance_norm": nn.instance_norm(x, *four[:2], epsilon=0.01),
        "lrn": nn.lrn(x, size=3, alpha=0.5, bias=1.0, beta=0.6),
        "l2_normalize": nn.l2_normalize(x, 1e-4, axis=[1]),
        "softmax": nn.softmax(x),
        "softmax_axis": nn.softmax(x, axis=1),
        "log_softmax": nn.log_softmax(x, axis=1),
        "conv2d": nn.conv2d(x, kernel, **conv),
        "conv2d_pads": nn.conv2d(x, kernel, strides=(2, 1), padding=(0, 1, 2, 1), **conv),
        "conv2d_dilated": nn.conv2d(x, kernel, dilation=(2, 2), padding=(2, 2), **conv),
        "conv2d_groups": nn.conv2d(
            x, relay.var("weight", shape=(6, 2, 3, 3)), groups=2, padding=1, **conv
        ),
        "conv2d_nhwc": nn.conv2d(
            n,
            relay.var("weight", shape=(3, 3, 4, 6)),
            padding=1,
            data_layout="NHWC",
            kernel_layout="HWIO",
            **conv,
        ),
        "depthwise": nn.conv2d(
            x, relay.var("weight", shape=(4, 1, 3, 3)), groups=4, channels=4, kernel_size=(3, 3)
        ),
        "depthwise_multiplier": nn.conv2d(
            x, relay.var("weight", shape=(8, 1, 3, 3)), groups=4, channels=8, kernel_size=(3, 3)
        ),
        "depthwise_multiplier_topi": nn.conv2d(
            x, relay.var("weight", shape=(4, 2, 3, 3)), groups=4, channels=8, kernel_size=(3, 3)
        ),
        "depthwise_nhwc": nn.conv2d(
            n,
            relay.var("weight", shape=(3, 3, 4, 2)),
            groups=4,
            channels=8,
            kernel_size=(3, 3),
            data_layout="NHWC",
            kernel_layout="HWOI",
        ),
        "conv2d_transpose": nn.conv2d_transpose(
            x,
            relay.var("weight", shape=(4, 5, 3, 3)),
            channels=5,
            kernel_size=(3, 3),
            strides=(2, 2),
            padding=(1, 1),
            output_padding=(1, 1),
        ),
        "conv2d_transpose_oihw": nn.conv2d_transpose(
            x,
            relay.var("weight", shape=(5, 4, 3, 3)),
            channels=5,
            kernel_size=(3, 3),
            strides=(2, 2),
            padding=(0, 1),
            kernel_layout="OIHW",
        ),
        "dense": nn.dense(relay.var("x", shape=(2, 6)), relay.var("weight", shape=(3, 6))),
        "matmul": nn.matmul(
            relay.var("x", shape=(6, 2)), relay.var("y", shape=(6, 3)), transpose_a=True
        ),
        "batch_matmul": nn.batch_matmul(
            relay.var("x", shape=(2, 3, 6)), relay.var("y", shape=(2, 5, 6))
        ),
        "batch_matmul_a": nn.batch_matmul(
            relay.var("x", shape=(2, 6, 3)),
            relay.var("y", shape=(2, 6, 5)),
            transpose_a=True,
            transpose_b=False,
        ),
        "max_pool2d": nn.max_pool2d(x, (3, 3), strides=(2, 2), padding=(1, 1)),
        "max_pool2d_ceil": nn.max_pool2d(x, (3, 2), strides=(2, 3), ceil_mode=True),
        "max_pool2d_dilated": nn.max_pool2d(x, (2, 2), dilation=(2, 3)),
        "max_pool2d_nhwc": nn.max_pool2d(n, (2, 2), strides=(2, 2), layout="NHWC"),
        "max_pool2d_int8": nn.max_pool2d(i, (2, 2), strides=(2, 2)),
        "avg_pool2d": nn.avg_pool2d(x, (3, 3), strides=(2, 2), padding=(1, 1)),
        "avg_pool2d_include": nn.avg_pool2d(
            x, (3, 3), strides=(2, 2), padding=(1, 0, 1, 1), count_include_pad=True
        ),
        "avg_pool2d_ceil": nn.avg_pool2d(x, (3, 3), strides=(2, 2), ceil_mode=True),
        "avg_pool2d_ceil_include": nn.avg_pool2d(
            x, (3, 3), strides=(2, 2), padding=(1, 1), ceil_mode=True, count_include_pad=True
        ),
        "global_avg_pool2d": nn.global_avg_pool2d(x),
        "global_avg_pool2d_nhwc": nn.global_avg_pool2d(n, layout="NHWC"),
        "global_max_pool2d": nn.global_max_pool2d(x),
        "adaptive_avg_pool2d": nn.adaptive_avg_pool2d(x, (3, 2)),
        "adaptive_avg_pool2d_one": nn.adaptive_avg_pool2d(x, (1, 1)),
        "adaptive_max_pool2d": nn.adaptive_max_pool2d(x, (2, 4)),
        **{
            name: getattr(relay, name)(x, axis=[2, 3], keepdims=True)
            for name in ("sum", "mean", "max", "min", "prod")
        },
        "mean_all": relay.mean(x),
        "mean_exclude": relay.mean(x, axis=[1], exclude=True),
        "sum_one": relay.sum(x, axis=-1),
        "variance": relay.variance(x, axis=[2, 3]),
        "argmax": relay.argmax(x, axis=1),
        "argmin": relay.argmin(x, axis=-1, keepdims=True),
        "reshape": relay.reshape(x, (0, -1, 2)),
        "reshape_rest": relay.reshape(x, (2, 2, -2)),
        "reshape_merge": relay.reshape(x, (0, -3, -2)),
        "reshape_split": relay.reshape(x, (0, -4, 2, -1, -2)),
        "reshape_like": relay.reshape_like(x, relay.var("y", shape=(4, 48))),
        "batch_flatten": nn.batch_flatten(x),
        "transpose": relay.transpose(x, (0, 2, 3, 1)),
        "transpose_all": relay.transpose(x),
        "layout_transform": relay.layout_transform(x, "NCHW", "NHWC"),
        "squeeze": relay.squeeze(x),
        "squeeze_axis": relay.squeeze(relay.mean(x, axis=[2, 3], keepdims=True), axis=[-1, 2]),
        "expand_dims": relay.expand_dims(x, 2, 2),
        "expand_dims_last": relay.expand_dims(x, -1),
        "concatenate": relay.concatenate([x, y, x], 1),
        "concatenate_last": relay.concatenate([x, y], -1),
        "stack": relay.stack([x, y], 1),
        "split": relay.split(x, 2, axis=1).astuple(),
        "split_places": relay.split(x, (1, 4), axis=2)[1],
        "strided_slice": relay.strided_slice(x, (0, 1, 0, -3), (1, 3, 6, 8), (1, 1, 2, 1)),
        "strided_slice_axes": relay.strided_slice(x, (1, 0), (3, 5), (1, 1), axes=(1, 3)),
        "strided_slice_size": relay.strided_slice(
            x, (0, 1, 0, 2), (1, 2, -1, 3), slice_mode="size"
        ),
        "zeros": relay.zeros((2, 3), "float32"),
        "fast_softmax": nn.fast_softmax(x),
        "stop_fusion": relay.exp(relay.annotation.stop_fusion(relay.sin(x))),
        "take": relay.take(x, const(np.array([2, 0, 9], "int64")), axis=1),
        "take_scalar": relay.take(x, const(1, "int64"), axis=1),
        "broadcast_to": relay.broadcast_to(relay.var("x", shape=(4, 1, 1)), (2, 4, 3, 2)),
        "full": relay.full(const(2.5), (2, 3), "float32") + relay.ones((2, 3), "float32"),
        "tile": relay.tile(x, (2, 1, 2)),
        "repeat": relay.repeat(x, 2, 1),
        "pad": nn.pad(x, ((0, 0), (1, 0), (1, 2), (0, 1)), pad_value=0.5),
        "pad_edge": nn.pad(x, ((0, 0), (0, 0), (1, 2), (0, 1)), pad_mode="edge"),
        "pad_reflect": nn.pad(x, ((0, 0), (0, 0), (1, 2), (0, 1)), pad_mode="reflect"),
        "depth_to_space": nn.depth_to_space(x, 2),
        "depth_to_space_crd": nn.depth_to_space(x, 2, mode="CRD"),
        "space_to_depth": nn.space_to_depth(x, 2),
        "upsampling": nn.upsampling(x, 2, 3),
        "upsampling_bilinear": nn.upsampling(x, 2, 2, method="bilinear"),
        "upsampling_align": nn.upsampling(x, 2, 2, method="bilinear", align_corners=True),
        "upsampling_bicubic": nn.upsampling(x, 2, 2, method="bicubic"),
        "upsampling_nhwc": nn.upsampling(n, 2, 2, layout="NHWC"),
    }
    for places in ("half_pixel", "align_corners", "asymmetric"):
        for method in ("linear", "cubic"):
            cases[f"resize2d_{method}_{places}"] = relay.image.resize2d(
                x, (9, 5), method=method, coordinate_transformation_mode=places
            )
        for rounding in ("", "round", "round_prefer_floor", "floor", "ceil"):
            cases[f"resize2d_{rounding or 'open'}_{places}"] = relay.image.resize2d(
                x,
                (9, 5),
                method="nearest_neighbor",
                coordinate_transformation_mode=places,
                rounding_method=rounding,
            )

    def module(expression: Any) -> Build:
        return lambda: tvm.IRModule.from_expr(
            relay.Function(relay.analysis.free_vars(expression), expression)
        )

    return {
        case: module(expression if isinstance(expression, relay.Expr) else expression.astuple())
        for case, expression in cases.items()
    }
