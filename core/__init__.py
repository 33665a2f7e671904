"""The lowest layer: the vocabulary and the one decision function.

Sign conventions, defined here and nowhere else:

    grid_power_w   +  import from the grid      -  export to the grid
    setpoint_w     a magnitude, never negative; what it does depends on the role of the slaves:
        absorb     the slave draws setpoint_w from its phase    (raising it lowers export)
        generate   the slave feeds setpoint_w into its phase    (lowering it lowers export)
    action_w       the three per-phase totals of the setpoints, 0..5000 W each
    surplus_w      what the slaves could place without import: + room to raise the action

0 W is the safe setpoint of both roles. ``core.roles.grid_effect_w`` is the only conversion.

The stages of an action have four different names: `policy_action_w` and `fallback_action_w` are proposed,
`requested_action_w` is chosen from them and slew-mapped, `safe_action_w` is what safety lets through.

Standard library values only: no clock, no chance, no wire, no numpy. Time and chance are arguments.
"""
