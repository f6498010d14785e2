"""Running compiled networks. ``register`` makes ``zeroskip.run`` known to TVM."""


def register() -> None:
    """Register the packed function that modules with accelerator regions call."""
    from zeroskip.runtime import packed

    assert packed.NAME == "zeroskip.run"
