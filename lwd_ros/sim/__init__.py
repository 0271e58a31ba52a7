"""Metaworld scenes behind a contract, their scripted experts, and collecting demonstrations."""
