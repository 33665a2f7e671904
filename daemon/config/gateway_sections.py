"""The sections that only `sunkeep gateway` acts on."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from daemon.config.sections import LocalPath, Section, Text, optional_path


def _topic(text: str) -> str:
    if any(sign in text for sign in "+#$ ") or "" in text.split("/"):
        raise PydanticCustomError(
            "topic",
            'is not a topic. Write words with "/" between them, without spaces, "+", "#" and "$": '
            '"sunkeep/home"',
        )
    return text


Topic: TypeAlias = Annotated[Text, AfterValidator(_topic)]


class MqttSection(Section):
    """The MQTT broker that `sunkeep gateway` publishes to, for Home Assistant and others.

    Without a `username` the broker must take anybody. With `tls` the broker's certificate is checked against
    `ca_file`, or against the system's authorities. Where `commands` are accepted, whoever may publish on the
    broker may give the site orders: pause, boost, holiday, who is served first.
    """

    host: Text
    port: int = Field(default=1883, ge=1, le=65535)
    username: Text | None = None
    password_file: Annotated[LocalPath | None, BeforeValidator(optional_path)] = None
    tls: bool = False
    ca_file: Annotated[LocalPath | None, BeforeValidator(optional_path)] = None
    base_topic: Topic = "sunkeep/home"
    discovery_prefix: Topic = "homeassistant"
    every_s: float = Field(default=5.0, ge=1.0, le=300.0)
    commands: Literal["refused", "accepted"] = "refused"


class NotifySection(Section):
    """Notices to the owner. `addresses_file` holds one apprise address per line, passwords and all.

    Trouble is told when it has lasted `after_s`, again once a day while it lasts, and when it is over.
    """

    addresses_file: LocalPath
    after_s: float = Field(default=300.0, ge=30.0, le=86_400.0)
    per_day_max: int = Field(default=10, ge=1, le=100)


class LanSection(Section):
    """The status page for the house's network, behind a password. Absent: nobody but this machine sees it.

    Names under which browsers reach it, beside private addresses, stand in `names`. Without a certificate the
    password crosses the network as it is, which must be accepted in words. Where `commands` are accepted,
    whoever is logged in may give orders. Programs get in with the token whose hash is in `token_file`.
    """

    host: Text = "0.0.0.0"  # noqa: S104 - the section is how somebody asks for just that
    port: int = Field(default=8443, ge=1, le=65535)
    password_file: LocalPath
    certificate_file: Annotated[LocalPath | None, BeforeValidator(optional_path)] = None
    key_file: Annotated[LocalPath | None, BeforeValidator(optional_path)] = None
    unencrypted: Literal["refused", "accepted"] = "refused"
    names: Annotated[tuple[Text, ...], Field(strict=False, max_length=20)] = ()
    commands: Literal["refused", "accepted"] = "refused"
    token_file: Annotated[LocalPath | None, BeforeValidator(optional_path)] = None

    @model_validator(mode="after")
    def _is_encrypted_or_accepted(self) -> "LanSection":
        both = self.certificate_file is not None and self.key_file is not None
        neither = self.certificate_file is None and self.key_file is None
        if not (both or (neither and self.unencrypted == "accepted")):
            raise PydanticCustomError(
                "lan_encryption",
                "needs both certificate_file and key_file. Without them whoever listens on the network "
                'reads the password: write unencrypted = "accepted" if you want that',
            )
        return self
