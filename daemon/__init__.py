"""The imperative shell: assembly, loop, settings, journal, metrics. No arithmetic on watts."""

import sys

# structlog loads rich wherever it is installed, for pretty tracebacks: 13 MB that a service never needs
if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401

    del sys.modules["rich"]
