"""Follow docs/operate literally, as root: from a clean Debian to commissioned slaves, by what the pages say.

    sudo python packaging/try_pages.py --suite bookworm PACKAGE.deb

The hardware is `sunkeep plant --uncommissioned` behind the wires of far_end_wires.py: a blank stick under
/dev/serial/by-id, slaves that wait to join, and a meter at 192.168.1.20. Every line of install.md, of the
steps of hardware.md and of commissioning.md is typed as it stands there, into a terminal; `NOT_TYPED`
(typist.py) says which are not, and why. Half an hour, most of it measuring slaves in real time.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from booted import CACHE, NOW, Container, TrialError, clean_root, say, until
from try_deb import variant
from typist import CONFIG, METER, NEW_STICK, STICK, Answer, Person, terminal

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "operate"
PASSPHRASE = "three words and a number 7"  # noqa: S105 - of a site that lives for half an hour
LABELS = (
    ("boiler 1", "a", "00:12:4b:00:00:4f:5e:00", "073d 3422 bf19 5bec cdda 0f9b 8978 2785 c614"),
    ("heating rod 2", "b", "00:12:4b:00:00:4f:5e:01", "7fb88566e7d3a862b5cee5fa188d370e32e9"),
)
"""Name, phase, address and install code of each simulated slave."""
GONE = "rm -rf /etc/sunkeep/sunkeep.toml /etc/sunkeep/site.key /etc/sunkeep/*.json /var/lib/sunkeep/*"
SITE = f"""
[radio]
path = "{STICK}"
[mode]
mode = "shadow"
[journal]
directory = "/var/lib/sunkeep/journal"
[state]
directory = "/var/lib/sunkeep"
"""
"""What a person writes by hand beside the lines of the probe, after the example."""


def far_end(box: Container) -> None:
    """The simulated hardware runs from a copy of its own, so that no update touches it."""
    box.must("[ -e /srv/far-end ] || cp -a /opt/sunkeep/installed /srv/far-end")


def new_site(box: Container) -> None:
    """The package, and no site."""
    box.must(f"{GONE}; apt-get install -y /srv/home/sunkeep_*.deb 2>&1")
    far_end(box)


def guided(person: Person) -> None:
    """install.md: install, set up with questions, and what was measured is there."""
    box = person.box
    person.types("sudo apt install ./sunkeep_*_arm64.deb", wanted="Nothing runs yet")
    far_end(box)
    person.blank()

    def carried() -> str:
        """The installer carries the key to the slaves."""
        person.blank(key="/etc/sunkeep/site.key")
        return ""

    slaves: list[Answer] = []
    for number, (name, phase, address, code) in enumerate(LABELS):
        slaves += [
            ("  Name", name),
            ("  Slot", ""),
            ("  Phase", phase),
            ("  Power", "1700"),
            ("IEEE", address),
        ]
        slaves += [("Install code", code), ("One more slave?", "n" if number else "y")]
    asked: list[Answer] = [("Name of the site", "Home"), ("Time zone", "Europe/Berlin")]
    asked += [("Zigbee stick", STICK), ("Meter", "network"), ("Address", METER), *slaves]
    asked += [("press Enter", carried), ("Measure how", "y"), ("Start the daemon", "y")]
    said = person.types("sudo sunkeep setup", asked, wanted="It runs, in shadow", limit_s=2400)
    if said.count("joined as 0x") != len(LABELS):
        raise TrialError(said)
    commissioned(person, len(LABELS))
    until("the daemon is good", lambda: box.run(NOW).returncode == 0)
    say("sunkeep status", " ".join(box.must("sudo -u sunkeep sunkeep status").split())[:110])


def commissioned(person: Person, count: int) -> None:
    """As many slaves have measured numbers."""
    shown = person.box.must(f"sudo -u sunkeep sunkeep slaves --config {CONFIG}")
    measured = person.box.must("cat /var/lib/sunkeep/commissioning.json")
    if len(re.findall(r'"is_usable": ?true|"dead_time_s"', measured)) < count:
        raise TrialError(shown + measured)
    for line in shown.strip().splitlines():
        say("", line.rstrip()[:150])


def looked_after(person: Person) -> None:
    """install.md: update, backup, a new computer with a new stick, removal."""
    box = person.box
    box.must(
        "cp /srv/2.deb /srv/home/sunkeep_2_$(dpkg --print-architecture).deb; "
        "mkdir /srv/home/old; mv /srv/home/sunkeep_0* /srv/home/old"
    )
    person.types("sudo apt install ./sunkeep_*_arm64.deb", wanted="put back by itself")
    until("its good minute", lambda: box.run("test ! -e /opt/sunkeep/trial-pending").returncode == 0)
    person.types("journalctl -u sunkeep-trial -o cat", wanted="has had its first good minute")
    person.types("sudo systemctl stop sunkeep")
    secret = [("Passphrase", PASSPHRASE), (":", PASSPHRASE)]
    person.types("sudo sunkeep backup site.backup", secret, wanted="and the network")
    person.types("sudo systemctl start sunkeep")
    until("the daemon is good", lambda: box.run(NOW).returncode == 0)
    box.must(f"systemctl disable --quiet --now sunkeep sunkeep.path; {GONE}")
    person.blank(NEW_STICK)
    person.types(
        "sudo sunkeep restore site.backup --radio /dev/serial/by-id/usb-NEW_STICK --start",
        secret[:1],
        wanted="The stick has the network of before",
    )
    until("the daemon is good", lambda: box.run(NOW).returncode == 0)
    commissioned(person, len(LABELS))
    person.types("sudo apt remove sunkeep", [("ontinue?", "y")], wanted="every slave rests")


def from_file(person: Person) -> None:
    """install.md: the answers of the page, as they stand there."""
    box = person.box
    (answers,) = re.findall(
        r"```toml\n(\[site\]\nname = .*?)```", (PAGES / "install.md").read_text(), re.DOTALL
    )
    new_site(box)
    person.blank()
    (box.root / "srv/home/site.toml").write_text(answers)
    again = "sudo sunkeep setup --answers site.toml; [ $? = 1 ]"
    _, said = terminal(box, again, [], 300)
    if "Never answered" not in said and "FAILS slaves" not in said:
        raise TrialError(f"the slaves have another key, and nobody notices: {said}")
    say("without the site key in the slaves, it says who does not answer")
    person.blank(key="/etc/sunkeep/site.key")
    box.must("rm -f /var/lib/sunkeep/zigbee.db*")
    person.types("sudo sunkeep setup --answers site.toml", wanted="It runs, in shadow", limit_s=1200)
    commissioned(person, 1)
    box.must("systemctl disable --quiet --now sunkeep sunkeep.path")


def by_hand(person: Person) -> None:
    """The steps of hardware.md one by one, and commissioning.md."""
    box, config = person.box, f"--config {CONFIG}"
    new_site(box)
    person.blank()
    lines = person.types(f"sunkeep meter probe --host {METER}", wanted='profile = "sdm630"')
    found = lines[lines.index("[meter]\n") :]
    slaves = "".join(
        f'[[slaves]]\nname = "{name}"\nslot = {slot}\nphases = "{phase}"\nmax_w = 1700\n'
        for slot, (name, phase, _, _) in enumerate(LABELS)
    )
    (box.root / CONFIG[1:]).write_text(
        f'[site]\nname = "Home"\ntimezone = "Europe/Berlin"\n{found}{SITE}{slaves}'
    )
    box.must(f"chown root:sunkeep {CONFIG}; chmod 640 {CONFIG}")
    person.types(f"sunkeep zigbee key {config}", wanted="Made")
    person.types("chown -R sunkeep: /etc/sunkeep/site.key /var/lib/sunkeep")
    person.blank(key="/etc/sunkeep/site.key")
    person.types(f"sudo -u sunkeep sunkeep check {config}")
    person.types(f"timeout 20 sudo -u sunkeep sunkeep meter read {config}; true", wanted="W")
    person.types(f"sudo -u sunkeep sunkeep zigbee form {config}", wanted="Formed: channel 15")
    for _, _, address, code in LABELS:
        asked = [("IEEE address", address), ("Install code", code)]
        person.types(f"sudo -u sunkeep sunkeep zigbee permit {config}", asked, wanted="Joined.")
    person.types(f"sudo -u sunkeep sunkeep zigbee drill {config}", wanted="frames of 0 W in 60 s")
    person.types(f"sudo -u sunkeep sunkeep zigbee devices {config}", wanted="Slots as of the drill")
    person.types(
        f"sudo -u sunkeep sunkeep zigbee conformance --slot 0 {config}", [("Go on?", "y")], limit_s=400
    )
    person.types(f"sudo -u sunkeep sunkeep zigbee backup --out /tmp/network.json {config}", wanted="Wrote")
    commission = f'sudo -u sunkeep sunkeep commission "boiler 1" {config}'
    person.types(commission, [("Go on?", "y")], limit_s=1200)
    person.types(f"sudo -u sunkeep sunkeep slaves {config}", wanted="boiler 1")
    commissioned(person, 1)
    person.types("systemctl enable --now sunkeep")
    until("the daemon is good", lambda: box.run(NOW).returncode == 0)
    person.types("systemctl stop sunkeep")


PARTS = (guided, looked_after, from_file, by_hand)


def main() -> int:
    """Follow the pages on one suite."""
    parser = argparse.ArgumentParser(description="Follow docs/operate literally in a clean Debian.")
    parser.add_argument("--suite", required=True, choices=("bookworm", "trixie"))
    parser.add_argument(
        "--part", action="append", choices=[part.__name__ for part in PARTS], help="only these"
    )
    parser.add_argument("package", type=Path)
    asked = parser.parse_args()
    clean = clean_root(asked.suite)
    architecture = asked.package.stem.rsplit("_", 1)[-1]
    with tempfile.TemporaryDirectory(prefix="sunkeep-pages-", dir=CACHE) as folder:
        root = Path(folder) / asked.suite
        subprocess.run(["cp", "-a", clean, root], check=True)
        (root / "srv/home").mkdir()
        shutil.copy(asked.package, root / "srv/home" / asked.package.name)
        shutil.move(variant(asked.package, Path(folder), "2"), root / "srv" / "2.deb")
        shutil.copy(ROOT / "packaging" / "far_end_wires.py", root / "srv")
        box = Container(root)
        box.address(METER)
        try:
            for part in PARTS:
                if not asked.part or part.__name__ in asked.part:
                    part(Person(box, architecture))
        except TrialError as error:
            say("FAILED", str(error))
            say(
                "",
                box.run("journalctl --no-pager -n 40 -o short-monotonic -u sunkeep -u plant -u wires").stdout,
            )
            return 1
        finally:
            box.stop()
    say("all of it holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
