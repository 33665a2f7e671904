"""Where a training computes, as an option of its command."""

import click
import torch


def _present(_context: click.Context, _parameter: click.Parameter, device: str) -> str:
    if device == "cuda" and not torch.cuda.is_available():
        raise click.UsageError("no CUDA device here; use --device cpu")
    return device


device_option = click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, callback=_present
)
"""``--device``: refused before anything is read where there is no such device."""
