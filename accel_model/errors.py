"""The root of every refusal: one clear sentence that names the place and the remedy."""


class ZeroskipError(Exception):
    """A user's mistake or an unusable input. The command line prints it and exits with 2.

    Each stage derives its own class; the message is one sentence that says what is wrong,
    where (ONNX node, file, option) and what to do about it.
    """
