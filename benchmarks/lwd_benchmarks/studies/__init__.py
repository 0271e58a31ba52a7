"""Studies: one question each, asked of many models."""
