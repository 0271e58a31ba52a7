"""Poses of frames from transforms (tf2): live and recorded `tf2_msgs/msg/TFMessage` through one code path, without ROS.

A contract's stream of `type: tf` names a `frame` and the frame `in` which it is expressed. `TransformBuffer` takes the
messages of /tf and /tf_static and gives a pose of each such pair whenever a newer one is known on the whole chain
between the two. Messages are read by duck typing. Angles and chains come from pytransform3d (extra `tf`).

How a node uses it:

- One buffer for all pairs of a contract. One subscription to /tf (reliable, volatile, depth 100, as tf2's own
  listeners and publishers have it) and one to /tf_static (reliable, transient local).
  DDS keeps `depth` latched messages for each subscription, of *all* publishers: depth 100, for one publisher may latch
  one message for each frame. Both call `add` in one thread: a buffer holds no lock.
- Each `PoseOfPair` goes where a message of an ordinary stream goes: `pose` to the reader of the contract's fields,
  `stamp_ns` as the header's stamp, the middleware's arrival time of the message given to `add` as the arrival time.
  Where `stamp_ns` is None (static edges alone), the pose does not age: the node keeps it, without a staleness check.
- A message of eight edges costs 0.2 ms where all have one stamp, as a robot's have, and 0.4 ms where each has its own
  (medians, one core); a message of 100 frames that nobody needs 0.06 ms.
- `problem(pair)` is for the status when a pose is missing or stale, `notices()` for the log.
- The tf2 topics are absolute (/tf), and robots with namespaces remap them to tf: let the node's remappings do so.

Reading a bag: first all messages of /tf_static, whose log time may be anything, then those of /tf as they were logged.
"""

from lwd_ros.transforms.buffer import PoseOfPair, TransformBuffer
from lwd_ros.transforms.pose import Pose, Quaternion, Vector3

__all__ = ["Pose", "PoseOfPair", "Quaternion", "TransformBuffer", "Vector3"]
