"""The configuration file: sections, contradictions, diagnostics with line numbers."""
