"""A process that keeps installing, activating and rolling back bundles is killed at random instants.

It says what it is about to do before, and that it is done after. The parent kills it and looks: every bundle
that appears in the store must verify, and what is active must be what was said to be done last, or what was
being done.
"""

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from core.site import Site
from daemon.bundles.store import ModelStore
from models.bundle import BundleError, load_bundle
from tests.campaigns.killing import kill_after
from tests.campaigns.pairs import silent_log
from tests.campaigns.table import heading, parser
from tests.support.toy_bundles import plain_model, write_bundle

LIFE_S = (0.005, 0.3)
SITE = Site(())


@dataclass
class StoreResult:
    """Over all kills."""

    kills: int = 0
    done: int = 0
    between: int = 0
    newer: int = 0
    half_copies: int = 0
    broken: int = 0
    strange: int = 0


def _say(descriptor: int, word: str, reference: str) -> None:
    os.write(descriptor, json.dumps([word, reference]).encode() + b"\n")


def child(folder: Path, said: Path, seed: int) -> None:
    """Live until killed."""
    rng, store = Random(seed), ModelStore(folder / "state")
    descriptor = os.open(said, os.O_WRONLY | os.O_APPEND)
    version = max((item.order[1] for item in store.installed()), default=0)
    while True:
        there = [item.reference for item in store.installed()][-5:]
        if len(there) < 2 or rng.random() < 0.4:
            version += 1
            source = write_bundle(folder / "source", plain_model(), bundle_version=version)
            store.install(source, SITE)
            _say(descriptor, "installed", f"toy@{version}")
            continue
        try:
            choice = store.active.load()
        except BundleError:
            choice = None
        back = None if choice is None else choice.back()
        if back is not None and rng.random() < 0.3:
            _say(descriptor, "try", back.active.reference)
            store.rollback(SITE)
            _say(descriptor, "done", back.active.reference)
        else:
            wanted = rng.choice(there)
            _say(descriptor, "try", wanted)
            store.activate(wanted, SITE)
            _say(descriptor, "done", wanted)


def _judge(found: StoreResult, store: ModelStore, before: str, said: list[list[str]]) -> None:
    done = [reference for word, reference in said if word == "done"]
    tried = [reference for word, reference in said if word == "try"]
    last = done[-1] if done else before
    found.done += sum(word != "try" for word, _ in said)
    installed = {item.reference for item in store.installed()}
    found.half_copies += any(path.name.startswith(".") for path in store.directory.iterdir())
    for reference in installed:
        try:
            load_bundle(store.place(reference))
        except BundleError:
            found.broken += 1
    found.broken += not {reference for word, reference in said if word == "installed"} <= installed
    now = active(store)
    in_doubt = len(tried) > len(done)
    found.between += in_doubt
    found.newer += in_doubt and now == tried[-1] != last
    found.strange += now not in ((last, tried[-1]) if in_doubt else (last,))


def active(store: ModelStore) -> str:
    """What is active, and can be used; empty when nothing is."""
    try:
        choice = store.active.load()
    except BundleError:
        return ""
    store.load(choice.active)
    return choice.active.reference


def campaign(folder: Path, kills: int, seed: int) -> StoreResult:
    """So many lives, each ended at a random instant."""
    rng, found = Random(seed), StoreResult()
    (folder / "state").mkdir()
    store, said = ModelStore(folder / "state"), folder / "said"
    store.directory.mkdir()
    for number in range(kills):
        said.write_bytes(b"")
        before = active(store)
        work = partial(child, folder, said, seed * 1_000_003 + number)
        kill_after(rng.uniform(*LIFE_S), work)
        found.kills += 1
        _judge(found, store, before, [json.loads(line) for line in said.read_text().splitlines()])
    return found


def table(found: StoreResult) -> str:
    """What was found."""
    rows = {
        "kills": found.kills,
        "installations, activations and rollbacks said to be done": found.done,
        "killed inside an activation or rollback": found.between,
        "of these, the new one was active already": found.newer,
        "killed inside a copy (left behind, never listed)": found.half_copies,
        "bundles in the store that do not verify, or are missing": found.broken,
        "active: neither the old nor the new one": found.strange,
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def main() -> int:
    """The long form."""
    chosen = parser(__doc__, trials=500).parse_args()
    with tempfile.TemporaryDirectory() as folder, silent_log():
        found = campaign(Path(folder), chosen.trials, chosen.seed)
    print(heading(chosen.seed))
    print(table(found))
    return 1 if found.strange or found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
