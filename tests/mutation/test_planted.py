"""Every planted fault still has its place, and the runner tells a fault that is seen from one that is not."""

from pathlib import Path

import pytest

from tests.mutation import planted
from tests.mutation.planted import PlantedFault, faults, is_seen


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_the_text_of_a_fault_stands_where_it_is_planted(fault: PlantedFault) -> None:
    assert fault.changed() != (planted.ROOT / fault.source).read_text()
    assert (planted.ROOT / fault.test.split("::")[0]).is_file()


def test_a_fault_without_its_place_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 times, not once"):
        PlantedFault("gone", "core/roles.py", "no such text", "", "tests/core").changed()


@pytest.mark.parametrize(
    ("after", "seen"), [("SAFE_SETPOINT_W = 1", True), ("SAFE_SETPOINT_W = 0  # the same", False)]
)
def test_the_runner_tells_what_is_seen(after: str, seen: bool, tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(
        "from core.roles import SAFE_SETPOINT_W\n\ndef test_it():\n    assert SAFE_SETPOINT_W == 0\n"
    )
    fault = PlantedFault("unsafe", "core/roles.py", "SAFE_SETPOINT_W = 0", after, str(test))
    assert is_seen(fault, tmp_path) is seen
