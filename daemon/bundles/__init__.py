"""Policy bundles on this machine: the active one, the store, signatures."""
