"""The status page: what it answers, and how much of the machine a visitor may use."""
