"""Slaves that are Zigbee devices which one can buy: a relay or a dimmer with a timer of its own."""
