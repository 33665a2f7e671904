"""What the policy needs on the Pi: features, inference, the verified bundle.

ONNX Runtime's wheels carry a telemetry client (since 1.29) that is on by default: at import it writes a
device id under the home folder and starts a thread. The switch has to be set before that import, hence
here; a variable that is set already is respected.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
