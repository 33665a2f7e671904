"""Rows of the fault table that no trial here injects, and where they are shown instead."""

WHY = {
    "P9": "NaN for the policy comes from the meter alone: it is M8; features are finite by construction",
    "P11": "the soak (`python -m tests.soak`) measures memory",
    "P13": "no fault of a wire: the anomaly detector flags what is beyond training (docs/operate/anomaly.md)",
    "P16": "a spoilt session and its hourly self-test: tests/daemon/policy/test_self_test.py",
    "Z16": "not built: no drill withholds frames from one slave; `sunkeep zigbee drill` rehearses rest alone",
    "Z22": "static: `encode` splits at 30 slaves (tests/drivers/zigbee/test_setpoint_frame.py)",
}


def lines() -> list[str]:
    """As rows of the table."""
    return [
        f"| {number} | not injected | - | - | - | - | - | - | - | - | {why} |" for number, why in WHY.items()
    ]
