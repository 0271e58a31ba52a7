"""A differential-drive base with a lidar in two rooms: the worked example of a robot that lwd_ros does not know."""
