"""What the coordinator remembers without power: its network, its keys, its counters."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Self

import bellows.types as t

FACTORY_EUI64 = bytes.fromhex("0100fecaff6f0d00")
"""00:0d:6f:ff:ca:fe:00:01 as it travels (little endian); 000d6f is the maker's block of EmberZNet sticks."""
DEFAULT_CHANNEL = 15
COUNTER_STEP = 4096
"""EmberZNet stores its frame counter every so many frames, and jumps ahead by as much at a start."""


@dataclass(slots=True)
class Network:
    """The network that the coordinator runs. Byte strings are as they travel."""

    extended_pan_id: bytes
    pan_id: int
    channel: int
    power_dbm: int = 8
    update_id: int = 0

    def parameters(self) -> Any:
        """As the EZSP structure."""
        return t.EmberNetworkParameters(
            extendedPanId=t.ExtendedPanId.deserialize(self.extended_pan_id)[0],
            panId=t.EmberPanId(self.pan_id),
            radioTxPower=t.uint8_t(self.power_dbm),
            radioChannel=t.uint8_t(self.channel),
            joinMethod=t.EmberJoinMethod.USE_MAC_ASSOCIATION,
            nwkManagerId=t.EmberNodeId(0),
            nwkUpdateId=t.uint8_t(self.update_id),
            channels=t.Channels.ALL_CHANNELS,
        )

    @classmethod
    def of(cls, parameters: Any) -> Self:
        """From the EZSP structure."""
        return cls(
            extended_pan_id=parameters.extendedPanId.serialize(),
            pan_id=int(parameters.panId),
            channel=int(parameters.radioChannel),
            power_dbm=int(parameters.radioTxPower),
            update_id=int(parameters.nwkUpdateId),
        )


@dataclass(slots=True)
class Security:
    """Keys as they travel, 16 bytes each, and their counters."""

    network_key: bytes = bytes(16)
    link_key: bytes = bytes(16)
    key_sequence: int = 0
    frame_counter: int = 0
    aps_frame_counter: int = 0


@dataclass(slots=True)
class Nvram:
    """The whole memory; kept in a file if `path` is given."""

    network: Network | None = None
    security: Security = field(default_factory=Security)
    restored_eui64: bytes | None = None
    path: Path | None = None

    @property
    def eui64(self) -> bytes:
        """IEEE address of the coordinator, little endian."""
        return self.restored_eui64 or FACTORY_EUI64

    @classmethod
    def formed(cls, rng: Random, *, channel: int = DEFAULT_CHANNEL, path: Path | None = None) -> Self:
        """A memory with a network in it, as after commissioning: a host resumes it and need not form one."""
        network = Network(rng.randbytes(8), rng.randrange(1, 0xFFF0), channel)
        return cls(network, Security(rng.randbytes(16), rng.randbytes(16)), path=path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; an absent file is a blank memory. Raises ValueError if it is damaged."""
        if not path.exists():
            return cls(path=path)
        try:
            stored = json.loads(path.read_text())
            network, security = stored["network"], stored["security"]
            return cls(
                network=network and Network(**_from_text(network)),
                security=Security(**_from_text(security)),
                restored_eui64=stored["restored_eui64"] and bytes.fromhex(stored["restored_eui64"]),
                path=path,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a coordinator memory: {error}") from error

    def save(self) -> None:
        """Write the file, if there is one, in one step and for the owner only: it holds keys."""
        if self.path is None:
            return
        stored = {
            "network": self.network and _to_text(asdict(self.network)),
            "security": _to_text(asdict(self.security)),
            "restored_eui64": self.restored_eui64 and self.restored_eui64.hex(),
        }
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(stored))
        fresh.replace(self.path)

    def forget_network(self, *, keep_counters: bool = False) -> None:
        """Leave the network and drop its keys."""
        kept = self.security
        self.network, self.security = None, Security()
        if keep_counters:
            self.security.frame_counter = kept.frame_counter
        self.save()


def _to_text(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}


def _from_text(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: bytes.fromhex(value) if isinstance(value, str) else value for name, value in fields.items()}
