"""The stories of `lwd demo`: three nodes and a client as real processes, and the pictures of what happened."""
