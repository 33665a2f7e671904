"""What people and Prometheus see: figures, page, terminal, metrics, messages."""
