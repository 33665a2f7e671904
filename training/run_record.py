"""A trained run read back: what it was trained on and how, and the policy that its files hold."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from models.features import FEATURE_NAMES
from models.manifest import Sha256
from training.artifacts.checkpoint import BEST_FILE, LAST_FILE, LEARNER, CheckpointError, below, read_tensors
from training.imitation.policy_net import FeatureScaling
from training.learners.attention import PhaseActor
from training.learners.networks import (
    Absolute,
    Actor,
    DeployedPolicy,
    GaussianActor,
    Normalize,
    Residual,
    Scale,
)
from training.learners.offline.discrete_actions import DeployedChoice, Levels
from training.learners.offline.iql_discrete import Choices, DiscreteIql
from training.learners.options import Options
from training.replay.network import MEMORY, ReplayNet

RECORD_FILE = "run.json"


class RunRecord(BaseModel):
    """`run.json`, written when a training begins.

    `data` is where the training data lay, `action` which recorded action counted, `span_w` the reach of the
    residual on the surplus in W, 0 for absolute powers; `options` are those of the learner, `parent_sha256`
    names the bundle that it was fine-tuned from. `start_sha256` is of the checkpoint whose actor it began
    with, `choosing_sha256` of the days, or of bc's transitions, that chose the best state. `made_with` holds
    what else a run must go on with: of a retraining the fields of `training.replay.trainer.RunLength` and
    `training.replay.differentiable_replay.ReplayPlan`, of `sunkeep train` discount, batch and the weights of
    the losses.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    learner: str
    seed: int
    metering: Literal["net", "per_phase"]
    span_w: float = 0.0
    action: str = "acted"
    options: Options = Options()
    data: Path
    data_sha256: Sha256
    training_commit: str
    parent_sha256: Sha256 | None = None
    start_sha256: Sha256 | None = None
    choosing_sha256: Sha256 | None = None
    made_with: dict[str, int | float | None] = {}

    def write(self, folder: Path) -> None:
        """Write it into a run's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD_FILE).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class TrainedPolicy:
    """A network from raw features to watts; `memory_shape` is None where it remembers nothing."""

    net: nn.Module
    memory_shape: tuple[int, ...] | None


def read_record(folder: Path) -> RunRecord | None:
    """What a run says about itself, None where it says nothing. Raises CheckpointError for another file."""
    path = folder / RECORD_FILE
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"{path}: not the record of a run: {error}") from error


def find_weights(run: Path, which: str | None) -> Path:
    """The file of a run that holds its policy.

    Args:
        run: a file, or a folder that holds such files or a folder `run` of them.
        which: "best" or "last"; by default the best where it was kept.

    Raises:
        CheckpointError: there is none.
    """
    if run.is_file():
        return run
    names = [BEST_FILE, LAST_FILE] if which is None else [f"{which}.safetensors"]
    found = [folder / name for name in names for folder in (run / "run", run) if (folder / name).is_file()]
    if not found:
        raise CheckpointError(f"{run}: no {' or '.join(names)} in it; name a run of `sunkeep train`")
    return found[0]


def load_policy(path: Path, record: RunRecord | None) -> TrainedPolicy:
    """The policy of a checkpoint or of the champion's weights.

    Raises:
        CheckpointError: the file holds no policy that a bundle can carry; the message says what it is.
    """
    tensors, header = read_tensors(path)
    if "shape" in header and "feature_names" in header:
        raise CheckpointError(
            f"{path}: a forward dynamics model predicts and decides nothing; no policy in it"
        )
    if header.get("learner") == ReplayNet.__name__:
        tensors = below("average/", tensors)
    try:
        if "recurrent.weight_ih" in tensors:
            replay = ReplayNet()
            replay.load_state_dict(tensors)
            return TrainedPolicy(replay.eval(), (1, 3, MEMORY))
        learner = below(f"{LEARNER}/", tensors)
        if header.get("learner") == DiscreteIql.__name__ and "levels.offsets_w" in learner:
            return TrainedPolicy(_choice(learner).eval(), None)
        return TrainedPolicy(_actor(path, learner, header, record).eval(), None)
    except RuntimeError as error:  # sizes or names of another version
        raise CheckpointError(f"{path}: {error}") from error


def _choice(learner: dict[str, Tensor]) -> DeployedChoice:
    """The policy over choices; what they are in watts stands beside its weights."""
    levels = Levels(tuple(learner["levels.offsets_w"].tolist()))
    spread = FeatureScaling(learner["normalize.mean"], learner["normalize.std"])
    choices = Choices(spread, levels.count, len(learner["actor.net.0.0.bias"]))
    net = DiscreteIql(choices, levels=levels)
    net.load_state_dict(learner)
    return net.deployed()


def _actor(
    path: Path, learner: dict[str, Tensor], header: dict[str, str], record: RunRecord | None
) -> DeployedPolicy:
    """The deterministic policy of a learner's checkpoint."""
    actor, mean, std = map(learner.get, ("actor.mean.weight", "normalize.mean", "normalize.std"))
    if actor is None or mean is None or std is None:
        kind = header.get("learner")
        raise CheckpointError(
            f"{path}: {kind} does not answer in watts, and a bundle must"
            if kind
            else f"{path}: holds no policy that this version knows"
        )
    attends = "actor.attention.in_proj_weight" in learner
    if (len(mean), 3 if attends else len(actor)) != (len(FEATURE_NAMES), 3):
        raise CheckpointError(f"{path}: {len(mean)} inputs and {len(actor)} actions; a site has 30 and 3")
    if record is None:
        raise CheckpointError(
            f"{path}: no {RECORD_FILE} beside it says what its actions mean. Go on training for a step with "
            "--resume, which writes one"
        )
    scale: Scale = Residual(record.span_w) if record.span_w > 0.0 else Absolute()
    hidden = actor.shape[1]
    net: GaussianActor = PhaseActor(hidden) if attends else Actor(len(mean), len(actor), hidden)
    net.load_state_dict(below("actor.", learner))
    clip = learner.get("normalize.clip")  # what was written before bounds were kept has it in its record only
    bound = (record.options.clip_observation or inf) if clip is None else float(clip)
    normalize = Normalize(FeatureScaling(mean, std), bound)
    return DeployedPolicy(normalize, net, scale)
