"""The seam to simulators; Metaworld and others stand behind it."""
