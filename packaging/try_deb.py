"""Try a package out, as root: a clean Debian, booted with its own systemd, and a simulated site for hardware.

    sudo python packaging/try_deb.py --suite bookworm PACKAGE.deb

Needs debootstrap and systemd-nspawn. Installs, runs, updates, forces a bad update, goes back, removes and
purges, and compares keys, configuration and state byte for byte. What is replaced: the kernel is this
machine's; meter and radio stick are `sunkeep plant` on the container's loopback. About ten minutes.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from booted import CACHE, NOW, Container, TrialError, clean_root, expect, say, until

SITE = """
set -e
mkdir -p /srv/plant; chown sunkeep: /srv/plant
systemd-run --quiet --unit=plant --uid=sunkeep -p WorkingDirectory=/srv/plant \\
  -p Environment=HOME=/srv/plant /srv/far-end/bin/python -IB -m daemon plant --write-config /srv/plant
for i in $(seq 60); do [ -e /srv/plant/site.toml ] && break; sleep 1; done
sed -e 's|^directory = "journal"|directory = "/var/lib/sunkeep/journal"|' \\
  -e 's|^directory = "."|directory = "/var/lib/sunkeep"|' /srv/plant/site.toml > /etc/sunkeep/sunkeep.toml
chown root:sunkeep /etc/sunkeep/sunkeep.toml; chmod 640 /etc/sunkeep/sunkeep.toml
install -o sunkeep -g sunkeep -m 600 /srv/plant/site.key /etc/sunkeep/site.key
for file in frame-counter standing.a standing.b; do
  [ ! -e /srv/plant/$file ] || install -o sunkeep -g sunkeep -m 600 /srv/plant/$file /var/lib/sunkeep/$file
done
systemctl enable --quiet --now sunkeep.service sunkeep.path
"""
SUMS = "find /etc/sunkeep /var/lib/sunkeep -type f ! -name '*.example.toml' | sort | xargs sha256sum"


def variant(package: Path, folder: Path, suffix: str, *, broken: bool = False) -> Path:
    """The same package as a later version, or as one that cannot start."""
    tree = folder / f"tree{suffix}"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = (tree / "DEBIAN" / "control").read_text()
    version = re.findall(r"^Version: (.+)$", control, re.MULTILINE)[0]
    later = version.replace("~deb", f".{suffix}~deb")
    for file in [*(tree / "DEBIAN").iterdir(), tree / "opt/sunkeep/installed/release"]:
        file.write_text(file.read_text().replace(version, later))
    if broken:
        (module,) = tree.glob("opt/sunkeep/installed/lib/python*/site-packages/daemon/runtime/loop.py")
        module.write_text("raise RuntimeError('a version that cannot start')\n")
    out = folder / f"sunkeep{suffix}.deb"
    pack = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, out]
    subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return out


def install(container: Container, name: str) -> str:
    """Let apt install a package that lies in /srv; returns what the package said."""
    command = f"apt-get install -y --allow-downgrades /srv/{name} 2>&1"
    return "\n".join(line for line in container.must(command).splitlines() if line.startswith("sunkeep: "))


def first_install(box: Container) -> None:
    """Nothing runs, everything is in its place."""
    expect(box, 'echo "$(apt-get install -y /srv/1.deb 2>&1)"', "Nothing runs yet, and every slave rests")
    expect(box, "systemctl is-active sunkeep || true", "inactive")
    expect(box, "sunkeep --version", "sunkeep, version")
    expect(
        box,
        "stat -c '%U:%G %a' /etc/sunkeep /var/lib/sunkeep | tr '\\n' ' '",
        "root:sunkeep 750 sunkeep:sunkeep 700",
    )
    expect(box, "_SUNKEEP_COMPLETE=bash_complete COMP_WORDS='sunkeep zig' COMP_CWORD=1 sunkeep", "zigbee")
    exposed = box.must("systemd-analyze security --no-pager --threshold=14 sunkeep.service | tail -n 1")
    say("installed; nothing runs", exposed.strip().removeprefix("→ "))
    expect(box, "systemctl show --property=Wants multi-user.target", "sunkeep-trial.service")
    words = box.run("udevadm verify /usr/lib/udev/rules.d/60-sunkeep.rules 2>&1 | tail -n 3")
    say("udev rules", " ".join(words.stdout.split())[-60:])
    # the far end runs from a copy of its own, so that no update touches it
    box.must("cp -a /opt/sunkeep/installed /srv/far-end")


def starts(box: Container) -> None:
    """The simulated site is commissioned, and the real unit controls it."""
    box.must(SITE)
    took_s = until("the daemon is good", lambda: box.run(NOW).returncode == 0)
    said = json.loads(box.must("sunkeep status --json"))
    say("the embedded site runs under the real unit", f"{took_s:.0f} s, {said['acting']['state']}")


def updates(box: Container) -> None:
    """A good update, a bad one, one after it, and back."""
    kept = box.must("sha256sum /etc/sunkeep/sunkeep.toml /etc/sunkeep/site.key")
    said = install(box, "2.deb")
    if "put back by itself" not in said:
        raise TrialError(said)
    took_s = until("its good minute", lambda: box.run("test ! -e /opt/sunkeep/trial-pending").returncode == 0)
    expect(box, "journalctl -u sunkeep-trial --no-pager -o cat", "has had its first good minute")
    expect(box, "readlink /opt/sunkeep/.venv", "installed")
    say("a good update has its first good minute", f"{took_s:.0f} s after apt")
    install(box, "3.deb")
    took_s = until("the rollback", lambda: box.run("test -e /opt/sunkeep/rolled-back").returncode == 0)
    took_s += until("the version before is good", lambda: box.run(NOW).returncode == 0)
    expect(box, "readlink /opt/sunkeep/.venv", "previous")
    expect(box, "cat /opt/sunkeep/previous/release", ".2~deb")
    say("a bad update is rolled back by itself, and good again", f"{took_s:.0f} s after apt")
    say("", box.must("cat /opt/sunkeep/rolled-back").strip())
    install(box, "4.deb")
    expect(box, "readlink /opt/sunkeep/.venv", "installed")
    expect(box, "cat /opt/sunkeep/previous/release", ".2~deb")
    until("its good minute", lambda: box.run("test ! -e /opt/sunkeep/trial-pending").returncode == 0)
    expect(box, "readlink /opt/sunkeep/.venv", "installed")
    say("the update after it is good; the failed one is nowhere kept")
    install(box, "1.deb")
    until("its good minute", lambda: box.run("test ! -e /opt/sunkeep/trial-pending").returncode == 0)
    expect(box, "readlink /opt/sunkeep/.venv", "installed")
    say("going back to the first version is good")
    if box.must("sha256sum /etc/sunkeep/sunkeep.toml /etc/sunkeep/site.key") != kept:
        raise TrialError("configuration or key were changed")
    say("configuration and key are the same bytes all along")


def ends(box: Container) -> None:
    """At rest, no byte of key, configuration and state is touched by update, removal and purge."""
    box.must("systemctl stop sunkeep")
    replayed = box.must("sunkeep replay /var/lib/sunkeep/journal").strip().splitlines()[-1]
    if not replayed.endswith(" 0 different"):
        raise TrialError(replayed)
    say("the journals of all versions replay", replayed)
    sums = box.must(SUMS)
    steps = {
        "an update at rest": lambda: install(box, "2.deb"),
        "a removal": lambda: box.must("apt-get remove -y sunkeep"),
        "an installation over what is left": lambda: install(box, "2.deb"),
        "a purge": lambda: box.must("apt-get purge -y sunkeep"),
    }
    for step, act in steps.items():
        act()
        if box.must(SUMS) != sums:
            raise TrialError(f"{step} touched something")
        expect(box, "systemctl is-active sunkeep 2>&1 || true", "inactive")
        say(f"{step} touches no byte", f"{len(sums.splitlines())} files")
    expect(box, "ls /opt/sunkeep 2>&1 || true", "No such file")
    install(box, "2.deb")
    box.must("systemctl enable --quiet --now sunkeep.service")
    until("the daemon is good", lambda: box.run(NOW).returncode == 0)
    say("installed anew after the purge, it goes on with its state")


def main() -> int:
    """Try one package on one suite."""
    parser = argparse.ArgumentParser(description="Try a package out in a clean Debian.")
    parser.add_argument("--suite", required=True, choices=("bookworm", "trixie"))
    parser.add_argument("package", type=Path)
    asked = parser.parse_args()
    clean = clean_root(asked.suite)
    with tempfile.TemporaryDirectory(prefix="sunkeep-try-", dir=CACHE) as folder:
        root = Path(folder) / asked.suite
        subprocess.run(["cp", "-a", clean, root], check=True)
        shutil.copy(asked.package, root / "srv" / "1.deb")
        for number in (2, 3, 4):
            made = variant(asked.package, Path(folder), str(number), broken=number == 3)
            shutil.move(made, root / "srv" / f"{number}.deb")
        box = Container(root)
        try:
            for part in (first_install, starts, updates, ends):
                part(box)
        except TrialError as error:
            say("FAILED", str(error))
            say("", box.run("journalctl --no-pager -n 40 -o short-monotonic -u sunkeep -u 'sunkeep*'").stdout)
            return 1
        finally:
            box.stop()
    say("all of it holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
