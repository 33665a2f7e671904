"""What a policy bundle says about itself. Keys without a default are required, unknown keys refused."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, FiniteFloat, StringConstraints

from models.strict_model import StrictModel

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
"""A plain name: no folder, no hidden file."""
Version = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+){0,3}$")]
Positive = Annotated[int, Field(gt=0, le=65536)]
Features = Annotated[tuple[FiniteFloat, ...], Field(min_length=30, max_length=30)]
Watts = Annotated[tuple[FiniteFloat, ...], Field(min_length=3, max_length=3)]

MANIFEST_FILE = "manifest.json"
POLICY_FILE = "policy.onnx"
NORMALIZATION_FILE = "normalization_params.json"
GOLDEN_FILE = "golden.json"
DIGEST_FILE = "manifest.sha256"
"""SHA-256 of the manifest, as `sha256sum manifest.json` writes it. Bundles of before 2026-12 have none."""
TOLERANCE_W = 0.05
"""Largest deviation from a golden vector between machines (measured x86-64 to aarch64: 0.0015 W)."""


class Tensor(StrictModel):
    """Name and shape of one float32 input or output of the graph."""

    name: str
    shape: tuple[Positive, ...]


class MemoryTensor(StrictModel):
    """One recurrent state: zero at start and after any gap, the output of a tick is the input of the next."""

    name_in: str
    name_out: str
    shape: tuple[Positive, ...]


class Range(StrictModel):
    """Lowest and highest value of a feature in the training data, in the feature's unit."""

    low: float
    high: float


class Manifest(StrictModel):
    """`manifest.json`.

    `files` maps every other file of the bundle to its SHA-256. `bundle_version` grows with every bundle made
    for a site. `period_s` is the tick the features' histories were learnt with. `training_commit` and
    `training_data_sha256` say from which source and which data the policy comes, `parent_sha256` which bundle
    (the SHA-256 of its manifest) it was fine-tuned from; it is left out where there is none.
    `training_sources` are the data sets that the training data come from, as the summary of the days names
    them; those of a bundle that ships stand in `models/artifacts/sources.json` with their licences.
    """

    schema_version: Literal[1]
    name: str
    bundle_version: Annotated[int, Field(ge=1)]
    created_at_utc: AwareDatetime
    files: dict[FileName, Sha256]
    input: Tensor
    output: Tensor
    memory: tuple[MemoryTensor, ...] = ()
    feature_names: tuple[str, ...]
    role: Literal["absorb", "generate"]
    metering: Literal["net", "per_phase"]
    period_s: Annotated[float, Field(gt=0.0, le=10.0)]
    training_range: dict[str, Range]
    golden_tolerance_w: Annotated[float, Field(gt=0.0, le=TOLERANCE_W)] = TOLERANCE_W
    training_commit: str
    training_data_sha256: Sha256
    training_sources: tuple[str, ...] | None = None
    parent_sha256: Sha256 | None = None
    minimum_daemon_version: Version


class GoldenVector(StrictModel):
    """One observation and the action the policy must answer with, in W."""

    state: Features
    action_w: Watts


class Golden(StrictModel):
    """`golden.json`: observations and answers. With memory, the vectors follow each other from cold."""

    vectors: Annotated[tuple[GoldenVector, ...], Field(min_length=32)]


class FeatureStatistics(StrictModel):
    """Mean and standard deviation over the training data, in the unit of the quantity."""

    mean: float
    std: Annotated[float, Field(ge=0.0)]


class Normalization(StrictModel):
    """`normalization_params.json`: every feature by name, and the actions of phases a, b, c in W."""

    features: dict[str, FeatureStatistics]
    action_w: tuple[FeatureStatistics, FeatureStatistics, FeatureStatistics]
