"""The steps of `sunkeep setup` after the questions: each looks whether it is done, so all may be repeated."""

import asyncio
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daemon.cli.signals import run_and_close
from daemon.commissioning.keys import begin_state, make_key
from daemon.commissioning.known_devices import known_devices
from daemon.commissioning.preflight import Item, walk
from daemon.commissioning.site_answers import Answers, SlaveAnswers
from daemon.commissioning.site_backup import own
from daemon.commissioning.wire_check import walk_wires
from daemon.config.settings import Settings, SettingsError, load_settings, parse_settings
from daemon.errors import InputError
from daemon.runtime.devices import zigbee_settings
from daemon.runtime.state_directory import hold_state
from daemon.system.state_file import replace_whole
from drivers.errors import ConfigError
from drivers.zigbee.backup import form
from drivers.zigbee.joining import JoinEvent, parse_install_code, permit_join

USER = "sunkeep"
HAS_NETWORK = "this coordinator has a network already"
"""How `drivers.zigbee.backup.form` begins when there is nothing to do."""
JOIN_S = 120
"""Time to walk to the slave and to press its button."""


@dataclass(slots=True)
class SiteSetup:
    """One site on its way from a configuration to the first tick.

    Args:
        config: where the configuration is, or will be.
        tell: shows one line.
    """

    config: Path
    tell: Callable[[str], None]

    def settings(self) -> Settings:
        """The configuration as it is now."""
        return load_settings(self.config, key=False)

    def write_configuration(self, answers: Answers, state: Path) -> None:
        """Write the file, unless there is one: an installer may have adapted it.

        Raises:
            InputError: the answers contradict each other.
        """
        if self.config.exists():
            self.tell(f"{self.config} is there, and stays as it is.")
            return
        text = answers.configuration(state)
        try:
            parse_settings(text, self.config)
        except SettingsError as error:
            said = "\n".join(f"{one.key}: {one.reason}. {one.advice}." for one in error.problems)
            raise InputError(f"The answers do not fit together:\n{said}") from None
        replace_whole(self.config, text.encode(), 0o640)
        self.tell(f"Wrote {self.config}.")

    def make_key(self) -> bool:
        """Make key and counters where they are missing; returns whether the key is new."""
        settings = self.settings()
        file, state = settings.radio.key_file, settings.state.directory
        try:
            begin_state(state)
            if not file.exists():
                make_key(file)
                return True
        except OSError as error:
            raise InputError(
                f"{error.filename} cannot be written: {error.strerror}. Run this as root."
            ) from None
        finally:
            self.give_to_daemon()
        return False

    def give_to_daemon(self) -> None:
        """As root: state and key to the daemon's user; the configuration is root's, and readable for it."""
        if os.geteuid() != 0:
            return
        try:
            user = pwd.getpwnam(USER)
        except KeyError:
            return
        settings = self.settings()
        if settings.state.directory.is_dir():
            own(settings.state.directory, user.pw_uid, user.pw_gid)
        if settings.radio.key_file.exists():
            os.chown(settings.radio.key_file, user.pw_uid, user.pw_gid, follow_symlinks=False)
        os.chown(self.config, 0, user.pw_gid, follow_symlinks=False)

    def failing(self) -> list[Item]:
        """What the checklist finds wrong."""
        return [item for item in walk(self.config) if not item.ok]

    def form_network(self) -> None:
        """Give a blank stick a network; one that has a network keeps it.

        Raises:
            ConfigError: the stick is not there, or of another network.
        """
        settings = self.settings()
        with hold_state(settings.state.directory):
            try:
                formed = run_and_close(form(zigbee_settings(settings)))
            except ConfigError as error:
                if not str(error).startswith(HAS_NETWORK):
                    raise
                self.tell("The stick has a network already, and keeps it.")
            else:
                self.tell(f"Formed a network on channel {formed.network.channel}.")
        self.give_to_daemon()

    def to_join(self, slaves: list[SlaveAnswers]) -> list[SlaveAnswers]:
        """Those with an install code that are not in the network yet."""
        database = zigbee_settings(self.settings()).database
        assert database is not None, "the configuration always names a state folder"
        known = {device.ieee for device in known_devices(database, None)}
        return [slave for slave in slaves if slave.ieee is not None and slave.ieee not in known]

    def bring_in(self, slave: SlaveAnswers, seconds: int = JOIN_S) -> bool:
        """Open the network for one slave; returns whether it has joined."""
        assert slave.ieee is not None
        assert slave.install_code is not None
        settings = self.settings()

        def told(event: JoinEvent) -> None:
            if event.kind != "refused":  # others keep trying, and their turn comes
                self.tell(f"  {event.text}")

        with hold_state(settings.state.directory):
            code = parse_install_code(slave.install_code)
            joined = run_and_close(permit_join(zigbee_settings(settings), slave.ieee, code, seconds, told))
        self.give_to_daemon()
        return joined is not None

    def try_wires(self, ask_s: float) -> list[Item]:
        """Meter, radio and slaves, as the daemon will use them."""

        async def items() -> list[Item]:
            return [item async for item in walk_wires(load_settings(self.config), self.config, ask_s)]

        found = asyncio.run(items())
        self.give_to_daemon()
        return found
