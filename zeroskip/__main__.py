"""``python -m zeroskip``: the command line."""

from zeroskip.runtime.cli.main import main

if __name__ == "__main__":
    main()
