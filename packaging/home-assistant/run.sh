#!/bin/sh
# Home Assistant gives the add-on /config, which is kept and in its backups: configuration, key and state lie there.
set -e
mkdir -p /config/state
chmod 700 /config/state
if [ ! -e /config/sunkeep.toml ]; then
    echo "No /config/sunkeep.toml yet. Write it (sunkeep.example.toml lies beside it), and make the key:"
    echo "sunkeep zigbee key --config /config/sunkeep.toml"
    cp -n /etc/sunkeep/sunkeep.example.toml /config/ || true
    exec sleep infinity
fi
export STATE_DIRECTORY=/config/state HOME=/config/state
exec sunkeep run --config /config/sunkeep.toml
