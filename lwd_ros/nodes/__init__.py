"""The rclpy nodes: they declare parameters, convert messages, call what lies below, and report."""
