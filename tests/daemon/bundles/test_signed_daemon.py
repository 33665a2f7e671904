"""A running daemon that trusts certain keys only: what they did not sign never acts."""

import asyncio
import json
from pathlib import Path

import pytest

from core.decision import State
from core.site import Site
from daemon.bundles.active import Active
from daemon.bundles.store import ModelStore
from models.signature import SIGNATURE_FILE
from tests.daemon.policy.test_policy_swap import described, events, state, sunkeep
from tests.models.test_signature import rehash
from tests.support.full_daemon import Whole, until, whole
from tests.support.signed_bundles import INSTALLED, KEY, PERIOD_S, SIGNED_ONLY, bundle
from tests.support.toy_bundles import plain_model


def replaced_by_a_thief(folder: Path) -> ModelStore:
    """A signed, active bundle whose files, hashes and record of activation were all exchanged."""
    folder.mkdir()
    store = ModelStore(folder)
    store.install(bundle(folder.parent, key=KEY, period_s=PERIOD_S), Site((), period_s=PERIOD_S))
    store.activate("toy@1", Site((), period_s=PERIOD_S))
    there = store.directory / "toy@1"
    for path in there.iterdir():
        path.chmod(0o600)
    golden = json.loads((there / "golden.json").read_bytes())
    for vector in golden["vectors"]:
        vector["action_w"] = [2.0 * watts for watts in vector["action_w"]]
    rehash(there, "golden.json", json.dumps(golden).encode())
    rehash(there, "policy.onnx", plain_model(scale=2.0).SerializeToString())
    (there / SIGNATURE_FILE).unlink()
    (item,) = store.installed()
    choice = store.active.load()
    store.active.save(choice.then(Active(reference="toy@1", sha256=item.sha256)))
    return store


def proposes(pair: Whole) -> bool | None:
    """Whether a policy answered in the newest tick; None before the first."""
    figures = pair.service.figures
    return (
        None if figures is None or figures.decision is None else figures.decision.policy_action_w is not None
    )


async def test_files_replaced_with_their_hashes_never_act(tmp_path: Path) -> None:
    store = replaced_by_a_thief(tmp_path / "site")
    assert store.load(store.active.load().active).manifest.name == "toy"  # the check of bytes passes
    async with whole(tmp_path / "site", period_s=PERIOD_S, more=SIGNED_ONLY) as pair:
        await until(lambda: state(pair) is State.FALLBACK, 20.0)
        facts = await described(tmp_path / "site")
        assert (facts["policy"], facts["sha256"]) == ("", "")
        assert "not signed" in facts["problem"]
        await pair.stop()
        assert all(tick.decision.policy_action_w is None for tick in pair.ticks())
        assert [start.bundle_sha256 for start in pair.starts()] == [""]


@pytest.mark.slow
async def test_the_same_without_trusted_keys_are_used(tmp_path: Path) -> None:
    """What the signature is for: the other test would notice if it were not asked for."""
    replaced_by_a_thief(tmp_path / "site")
    async with whole(tmp_path / "site", period_s=PERIOD_S, more=INSTALLED) as pair:
        await until(lambda: proposes(pair), 20.0)
        await pair.stop()


@pytest.mark.slow
async def test_keys_that_are_asked_for_while_it_runs(tmp_path: Path) -> None:
    """The unsigned policy in force goes, and comes back signed. Another unsigned one never comes."""
    folder = tmp_path / "site"
    folder.mkdir()
    site = Site((), period_s=PERIOD_S)
    anything = ModelStore(folder)
    for version in (1, 2):
        anything.install(bundle(tmp_path, version, period_s=PERIOD_S), site)
    anything.activate("toy@1", site)
    file, config = folder / "site.toml", ("--config", str(folder / "site.toml"))
    async with whole(folder, period_s=PERIOD_S, more=INSTALLED) as pair:
        await until(lambda: proposes(pair), 20.0)
        file.write_text(file.read_text().replace(INSTALLED, SIGNED_ONLY))
        await until(lambda: proposes(pair) is False, 20.0)
        facts = await described(folder)
        assert (facts["policy"], facts["is_settled"]) == ("", True)
        assert "toy@1 must not be used: The bundle is not signed" in facts["problem"]
        assert pair.service.figures is not None
        assert pair.service.figures.about.policy_name == ""

        source = str(bundle(tmp_path, 1, KEY, period_s=PERIOD_S))
        assert await sunkeep("model", "install", source, *config) == 0
        assert await sunkeep("model", "activate", "toy@1", *config) == 0  # active before, and looked at again
        assert ((await described(folder))["policy"], (await described(folder))["problem"]) == ("toy 1", "")
        await until(lambda: proposes(pair), 20.0)

        assert await sunkeep("model", "activate", "toy@2", *config) == 78
        choice = anything.active.load()
        anything.active.save(choice.then(Active(reference="toy@2", sha256=anything.installed()[1].sha256)))
        await until(lambda: bool(pair.service.figures and pair.service.figures.policy_refusals == 2), 10.0)
        assert (await described(folder))["policy"] == "toy 1"
        assert proposes(pair)
        await pair.stop()
    said = events(folder)
    assert said["policy_withdrawn"] == {"policy": "toy 1", "reason": "no trusted signature"}
    assert said["policy_swap_refused"]["kept"] == "toy 1"
    assert await sunkeep("replay", str(folder / "journal")) == 0


@pytest.mark.slow
async def test_a_policy_signed_in_the_meantime_stays_when_keys_are_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    site = Site((), period_s=PERIOD_S)
    store = ModelStore(folder)
    store.install(bundle(tmp_path, 1, period_s=PERIOD_S), site)
    store.activate("toy@1", site)
    file = folder / "site.toml"
    async with whole(folder, period_s=PERIOD_S, more=INSTALLED) as pair:
        await until(lambda: proposes(pair), 20.0)
        store.install(bundle(tmp_path, 1, KEY, period_s=PERIOD_S), site)
        figures = pair.service.figures
        assert figures is not None
        before = figures.about
        file.write_text(file.read_text().replace(INSTALLED, SIGNED_ONLY))
        await until(lambda: figures.about is not before, 10.0)  # the configuration is loaded again
        await asyncio.sleep(3.0)
        assert proposes(pair)
        assert (await described(folder))["problem"] == ""
        await pair.stop()
    assert "configuration_reloaded" in events(folder)
    assert "policy_withdrawn" not in events(folder)
