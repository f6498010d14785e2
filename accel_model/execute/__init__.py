"""One instruction: what it touches, what it costs, what it does (``models.MODELS``)."""
