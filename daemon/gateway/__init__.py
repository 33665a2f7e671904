"""A process beside the daemon that carries its status to MQTT; it shares nothing with the tick."""
