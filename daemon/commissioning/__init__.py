"""Before a site runs: keys, checks, devices, the radio's test, the embedded site."""
