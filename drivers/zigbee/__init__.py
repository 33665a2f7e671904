"""The Zigbee coordinator, the setpoint frame and the slaves' reports."""
