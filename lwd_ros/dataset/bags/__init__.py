"""Recordings of robots, of rosbag2 (MCAP, SQLite3) and ROS 1; whole, split, compressed or damaged."""

from lwd_ros.dataset.bags.bag import Bag, open_bags
from lwd_ros.dataset.bags.records import BagError, Message, Topic

__all__ = ["Bag", "BagError", "Message", "Topic", "open_bags"]
