"""All benchmarks: ``python -m benchmarks``."""

from benchmarks import inference, life

inference.main(standalone_mode=False)
life.main(standalone_mode=False)
