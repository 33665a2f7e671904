"""What dpkg runs: which version is kept, and what a removal leaves."""

import subprocess
from pathlib import Path

import pytest

DEB = Path(__file__).parents[2] / "packaging" / "deb"
SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "sunkeep")


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_shell_accepts_it(name: str) -> None:
    assert subprocess.run(["sh", "-n", DEB / name], check=False).returncode == 0


class PackageFolder:
    """The folder of the package, somewhere else."""

    def __init__(self, folder: Path) -> None:
        self.base = folder / "opt"
        (self.base / "installed" / "lib" / "__pycache__").mkdir(parents=True)
        self.install("1")

    def install(self, version: str) -> None:
        """What dpkg and postinst do: replace the files, put them in force."""
        release = self.base / "installed" / "release"
        release.unlink(missing_ok=True)
        release.write_text(version)
        (self.base / "installed" / "lib" / "__pycache__").mkdir(exist_ok=True)
        self.put_in_force("installed")

    def put_in_force(self, name: str) -> None:
        (self.base / ".venv").unlink(missing_ok=True)
        (self.base / ".venv").symlink_to(name)

    def upgrade(self, old: str, new: str) -> None:
        """A whole upgrade."""
        assert self.run("preinst", "upgrade", old, version=new).returncode == 0
        assert not (self.base / "installed" / "lib" / "__pycache__").exists()
        self.install(new)

    def run(self, name: str, *words: str, version: str = "2") -> subprocess.CompletedProcess[str]:
        text = (DEB / name).read_text().replace("BASE=/opt/sunkeep", f"BASE={self.base}")
        text = text.replace("@VERSION@", version).replace("/run/sunkeep-upgrade", str(self.base / "run"))
        text = text.replace("/run/systemd/system", "/nowhere")
        for folder in ("/var/lib/sunkeep", "/etc/sunkeep", "/var/log/sunkeep"):
            text = text.replace(folder, f"{self.base.parent}{folder}")
        return subprocess.run(["sh", "-c", text, name, *words], capture_output=True, text=True, check=False)

    @property
    def kept(self) -> str:
        return (self.base / "previous" / "release").read_text()


def test_the_version_in_force_is_kept(tmp_path: Path) -> None:
    site = PackageFolder(tmp_path)
    site.upgrade("1", "2")
    assert site.kept == "1"
    assert (site.base / "previous" / "lib" / "__pycache__").is_dir()
    site.upgrade("2", "3")
    assert site.kept == "2"


def test_a_version_that_was_rolled_back_is_never_kept(tmp_path: Path) -> None:
    site = PackageFolder(tmp_path)
    site.upgrade("1", "2")
    site.put_in_force("previous")
    site.upgrade("2", "3")
    assert site.kept == "1"


def test_the_same_version_again_pushes_nothing_out(tmp_path: Path) -> None:
    site = PackageFolder(tmp_path)
    site.upgrade("1", "2")
    site.upgrade("2", "2")
    assert site.kept == "1"


def test_an_installation_by_hand_is_not_overwritten(tmp_path: Path) -> None:
    site = PackageFolder(tmp_path)
    (site.base / ".venv").unlink()
    (site.base / ".venv").mkdir()
    done = site.run("preinst", "install")
    assert done.returncode == 1
    assert "of an installation by hand. Move it away" in done.stderr


def test_a_removal_leaves_the_site_and_takes_what_it_made(tmp_path: Path) -> None:
    site = PackageFolder(tmp_path)
    site.upgrade("1", "2")
    state = tmp_path / "var/lib/sunkeep/frame-counter"
    state.parent.mkdir(parents=True)
    state.write_text("7")
    assert site.run("prerm", "remove").returncode == 0
    assert site.run("postrm", "remove").returncode == 0
    assert sorted(path.name for path in site.base.iterdir()) == ["installed"]
    purged = site.run("postrm", "purge")
    assert purged.returncode == 0
    assert "Left in place: the site's key, counters" in purged.stdout
    assert state.read_text() == "7"


def test_a_purge_without_a_site_leaves_nothing(tmp_path: Path) -> None:
    site = PackageFolder(tmp_path)
    for folder in ("var/lib/sunkeep/models", "etc/sunkeep"):
        (tmp_path / folder).mkdir(parents=True)
    assert site.run("postrm", "purge").returncode == 0
    assert not (tmp_path / "var/lib/sunkeep").exists()
    assert not (tmp_path / "etc/sunkeep").exists()
    assert not site.base.exists()
