"""Changes to how volumes become operations on frames."""

from __future__ import annotations

from tests.mutants_code.change import Change

VOLUMES: tuple[Change, ...] = (
    Change(
        "compiler/lowering/volumes.py",
        "the kernel's frames are counted from the first, padding or not",
        "Looked(start + taps[0] * step, taps[0], len(taps))",
        "Looked(start + taps[0] * step, 0, len(taps))",
        "compiler/test_volumes.py::test_convolutions",
    ),
    Change(
        "compiler/lowering/volumes.py",
        "rows that lie apart take turns as if they did not",
        "return self.dilation[1] == 1 or",
        "return self.dilation[1] < 3 or",
        "compiler/test_volumes.py::test_rows_that_lie_apart",
    ),
    Change(
        "compiler/lowering/volumes.py",
        "rows of padding are those of one frame",
        "(own.pad[0] * count, own.pad[1]),",
        "(own.pad[0], own.pad[1]),",
        "compiler/test_volumes.py::test_averages",
    ),
    Change(
        "compiler/lowering/volumes.py",
        "padding alone averages to the first frame",
        "layer.mult if looked.count else 0,",
        "layer.mult,",
        "compiler/test_volumes.py::test_an_average_of_padding_alone",
    ),
    Change(
        "compiler/lowering/volumes.py",
        "kernel frames stand in the order of channels",
        "np.moveaxis(weight, 2, 1)",
        "np.moveaxis(weight, 2, 2)",
        "compiler/test_volumes.py::test_convolutions",
    ),
    Change(
        "compiler/lowering/volumes.py",
        "a depthwise kernel's rows are not interleaved",
        "np.swapaxes(weight, 2, 3)",
        "np.swapaxes(weight, 2, 2)",
        "compiler/test_volumes.py::test_a_depthwise_kernel_of_more_rows_than_frames",
    ),
    Change(
        "compiler/lowering/volumes.py",
        "every frame counts the weights",
        "self.own.size, frame == 0)",
        "self.own.size, frame >= 0)",
        "compiler/test_volumes.py::test_needs_are_those_of_the_layer",
    ),
    Change(
        "compiler/lowering/volumes.py",
        "kernel frames that look at padding alone are counted",
        "self.form(self.own[:, :, sorted(taps)])",
        "self.form(self.own)",
        "compiler/test_volumes.py::test_needs_are_those_of_the_layer",
    ),
    Change(
        "compiler/ir/tiles.py",
        "a piece may reach into the next frame",
        "each - channel, channels.size - done)",
        "channels.size - done)",
        "compiler/test_volumes.py::test_a_piece_ends_with_its_frame",
    ),
    Change(
        "compiler/ir/tiles.py",
        "blocks of frames may lie before each other",
        "if step > 0 and (",
        "if (",
        "compiler/test_volumes.py::test_a_chunk_that_begins_within_a_frame",
    ),
    Change(
        "compiler/ir/liveness.py",
        "frames stay on chip as if they were whole",
        "and view.frames is None",
        "and view.frames is not view",
        "compiler/test_volumes.py::test_a_network_of_volumes",
    ),
    Change(
        "compiler/codegen/conv.py",
        "frames do not find their weights again",
        "return id(self.conv.weight), id(self.conv.bias), self.plan.mode",
        "return self.id",
        "compiler/test_volumes.py::test_frames_share_their_weights",
    ),
    Change(
        "compiler/codegen/conv.py",
        "tiles of all frames are said to be of the first",
        "step.patch.below(conv.y.first_row),",
        "step.patch,",
        "runtime/test_videos.py",
    ),
    Change(
        "compiler/codegen/channelwise.py",
        "tiles of pooled frames are said to be of the first",
        "patch.below(op.y.first_row)",
        "patch",
        "runtime/test_videos.py",
    ),
)
