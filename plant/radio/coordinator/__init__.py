"""A virtual Zigbee coordinator: the radio module that the real bellows talks to, without the radio.

serve     a pty or a loopback TCP port
ash       the serial link layer (UG101): windows, acknowledgements, retransmission
ezsp      the EmberZNet serial protocol (UG100), coded by the schemas that bellows brings along
stack     what the module remembers, volatile and in `nvram`
commands_*  what it does when asked
coordinator  all of it together; behind it lies `plant.radio.medium`
"""
