"""`python -m lwd_ros.cli`, where the `lwd` script is not on the path."""

from lwd_ros.cli import main

main()
