"""Around the loop: start and end, reload, persistence, and what people reach it by."""
