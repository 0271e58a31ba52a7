"""Robots that lwd_ros does not know, from the first demonstration to a policy that drives them: `lwd study own`."""
