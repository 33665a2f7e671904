"""The base of everything that is read from a file which a program has written."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Takes the keys and types that it names and nothing else: no conversion, no infinity, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
