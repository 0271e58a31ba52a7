"""The kinds of robots that `fake_robot` speaks as: topics, types, orders and oddities as the real drivers have them.

The sources are named in the contracts, config/robots/*.yaml. Nothing here reads those files.
"""

import math

import numpy as np
from fake_robot_parts import LATCHED, SENSOR_DATA, Input, Kind, Output, State
from geometry_msgs.msg import Quaternion, Twist, TwistStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Imu, JointState, LaserScan
from std_msgs.msg import Bool, Float32, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

try:  # part of every ROS 2, not of the wheels
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None

NOISE = 1e-4  # so that no two observations are alike


def noisy(state: State, value: float) -> float:
    return float(value + NOISE * state.rng.standard_normal())


# Joints


def joint_states(joints: dict[str, str], velocities: bool = False):
    """JointState of `joints` (name in a contract: name of the joint), each time in another order."""

    def fill(state: State):
        order = [list(joints)[place] for place in state.rng.permutation(len(joints))]
        positions = [noisy(state, state.values[name]) for name in order]
        rates = [noisy(state, state.values.get(f"{name}_velocity", 0.0)) for name in order]
        message = JointState(name=[joints[name] for name in order], position=positions, velocity=rates)
        message.effort = [math.nan] * len(order)
        seen = dict(zip(order, positions, strict=True))
        if velocities:
            seen |= {f"{name}_velocity": rate for name, rate in zip(order, rates, strict=True)}
        return message, seen

    return fill


def another_gripper(state: State):
    """What a second publisher of /joint_states sends: a joint that no contract binds."""
    return JointState(name=["robotiq_85_left_knuckle_joint"], position=[noisy(state, 0.3)]), {}


def follow(joints, speed: float):
    """Each joint goes to its target with at most `speed` rad/s, and stays where nothing was commanded."""

    def step(state: State, dt: float) -> None:
        for name in joints:
            target = state.commands.get(f"{name}_target")
            if target is not None:
                change = float(np.clip(target - state.values[name], -speed * dt, speed * dt))
                state.values[name] += change
                state.values[f"{name}_velocity"] = change / dt if dt > 0 else 0.0

    return step


def array_of(names):
    """Float64MultiArray in the controller's order."""

    def read(message: Float64MultiArray):
        assert len(message.data) == len(names), message
        return {f"{n}_target": v for n, v in zip(names, message.data, strict=True)}, {"size": len(message.data)}

    return read


def trajectory_of(joints: dict[str, str]):
    """JointTrajectory of one point, by the joints' names."""

    def read(message: JointTrajectory):
        (point,) = message.points
        by_joint = dict(zip(message.joint_names, point.positions, strict=True))
        duration = point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec
        details = {"duration": duration, "names": list(message.joint_names), "others": len(point.velocities)}
        return {f"{name}_target": by_joint[joint] for name, joint in joints.items()}, details

    return read


# Bases and aircraft


def quaternion(roll: float, pitch: float, yaw: float, sign: float = 1.0) -> Quaternion:
    """Of the angles about x, y and z, about fixed axes in this order; with `sign` -1 the rotation's other one."""
    cr, sr, cp, sp = math.cos(roll / 2), math.sin(roll / 2), math.cos(pitch / 2), math.sin(pitch / 2)
    cy, sy = math.cos(yaw / 2), math.sin(yaw / 2)
    return Quaternion(
        x=sign * (sr * cp * cy - cr * sp * sy),
        y=sign * (cr * sp * cy + sr * cp * sy),
        z=sign * (cr * cp * sy - sr * sp * cy),
        w=sign * (cr * cp * cy + sr * sp * sy),
    )


def wrapped(angle: float) -> float:
    return math.atan2(math.sin(angle), math.cos(angle))


def drive(state: State, dt: float) -> None:
    """A base that turns and drives as commanded."""
    values, forward, turn = state.values, state.commands.get("forward", 0.0), state.commands.get("turn", 0.0)
    values["heading"] += turn * dt
    values["x"] += forward * math.cos(values["heading"]) * dt
    values["y"] += forward * math.sin(values["heading"]) * dt
    values["forward_velocity"], values["turn_velocity"] = forward, turn


def odometry_of_base(names):
    """Odometry of a base; `names` are those of a contract that are bound to it."""

    def fill(state: State):
        values, message = state.values, Odometry()
        yaw = wrapped(noisy(state, values["heading"]))
        message.header.frame_id, message.child_frame_id = "odom", "base_footprint"
        message.pose.pose.position.x, message.pose.pose.position.y = values["x"], values["y"]
        message.pose.pose.orientation = quaternion(0.0, 0.0, yaw, state.rng.choice([-1.0, 1.0]))
        message.twist.twist.linear.x = noisy(state, values["forward_velocity"])
        message.twist.twist.angular.z = noisy(state, values["turn_velocity"])
        seen = {
            "heading": yaw,
            "heading_sine": math.sin(yaw),
            "heading_cosine": math.cos(yaw),
            "forward_velocity": message.twist.twist.linear.x,
            "turn_velocity": message.twist.twist.angular.z,
        }
        return message, {name: seen[name] for name in names}

    return fill


def ranges_of(state: State, beams: int, none: tuple[float, ...]) -> np.ndarray:
    """A scan, float32 [beams], some beams of which saw `none` of these."""
    angles = np.linspace(0, 2 * math.pi, beams, endpoint=False)
    ranges = 2.0 + np.sin(3 * angles + state.values["heading"]) + NOISE * state.rng.standard_normal(beams)
    for value in none:
        ranges[state.rng.random(beams) < 0.1] = value
    return ranges.astype(np.float32)


def scan_of_beams(state: State):
    """720 beams, inf where there was no echo, sometimes not a number, sometimes beyond the range."""
    ranges = ranges_of(state, 720, (math.inf, math.nan, 0.0, 20.0))
    message = LaserScan(angle_increment=2 * math.pi / 720, range_min=0.15, range_max=12.0, ranges=ranges.tolist())
    message.header.frame_id = "rplidar_link"
    every_20th = ranges[::20].astype(float)
    seen = [12.0 if math.isnan(r) or r in (0.0, math.inf) else min(r, 12.0) for r in every_20th.tolist()]
    return message, {"scan": seen}


def scan_of_sectors(state: State):
    """A number of beams that changes, not a number where there was no echo."""
    ranges = ranges_of(state, int(state.rng.integers(224, 236)), (math.nan, 0.0))
    message = LaserScan(angle_increment=2 * math.pi / len(ranges), range_max=100.0, ranges=ranges.tolist())
    message.header.frame_id = "base_scan"
    usable = [8.0 if math.isnan(r) or r == 0.0 else r for r in ranges.astype(float).tolist()]
    borders = [0, 29, 58, 87, 116, 145, 174, 203, len(usable)]
    return message, {f"sector_{k + 1}": min(usable[borders[k] : borders[k + 1]]) for k in range(8)}


def stamped_twist(message: TwistStamped):
    twist = message.twist
    others = [twist.linear.y, twist.linear.z, twist.angular.x, twist.angular.y]
    return {"forward": twist.linear.x, "turn": twist.angular.z}, {"others": sum(map(abs, others))}


def odometry_of_drone(state: State):
    """Position and attitude in the map, velocities in the body."""
    values, message = state.values, Odometry()
    roll, pitch, yaw = (noisy(state, values[name]) for name in ("roll", "pitch", "yaw"))
    message.header.frame_id, message.child_frame_id = "map", "base_link"
    position, linear = message.pose.pose.position, message.twist.twist.linear
    position.x, position.y, position.z = (noisy(state, values[name]) for name in "xyz")
    message.pose.pose.orientation = quaternion(roll, pitch, yaw, state.rng.choice([-1.0, 1.0]))
    vx, vy = values["velocity_x"], values["velocity_y"]
    linear.x = noisy(state, math.cos(yaw) * vx + math.sin(yaw) * vy)
    linear.y = noisy(state, math.cos(yaw) * vy - math.sin(yaw) * vx)
    linear.z = noisy(state, values["velocity_z"])
    message.twist.twist.angular.z = noisy(state, values["turn"])
    return message, {
        "x": position.x,
        "y": position.y,
        "z": position.z,
        "heading_sine": math.sin(yaw),
        "heading_cosine": math.cos(yaw),
        "roll": roll,
        "pitch": pitch,
        "body_velocity_x": linear.x,
        "body_velocity_y": linear.y,
        "body_velocity_z": linear.z,
        "speed": math.sqrt(linear.x**2 + linear.y**2 + linear.z**2),
        "turn_rate": message.twist.twist.angular.z,
    }


def fly(state: State, dt: float) -> None:
    """Velocities as commanded, in the map's frame."""
    for axis in "xyz":
        state.values[f"velocity_{axis}"] = state.commands.get(f"velocity_{axis}", 0.0)
        state.values[axis] += state.values[f"velocity_{axis}"] * dt
    state.values["turn"] = state.commands.get("turn", 0.0)
    state.values["yaw"] += state.values["turn"] * dt


def map_velocity(message: Twist):
    values = {"velocity_x": message.linear.x, "velocity_y": message.linear.y, "velocity_z": message.linear.z}
    return values | {"turn": message.angular.z}, {"others": abs(message.angular.x) + abs(message.angular.y)}


# Tools seen through TF


def transform(parent: str, child: str, position=(0.0, 0.0, 0.0), rotation: Quaternion | None = None):
    message = TransformStamped()
    message.header.frame_id, message.child_frame_id = parent, child
    translation = message.transform.translation
    translation.x, translation.y, translation.z = map(float, position)
    message.transform.rotation = rotation or Quaternion(w=1.0)
    return message


def tool_tree(state: State):
    """base_link to tool0 in three steps, the first of which is latched: turned by half about z, moving, and a flange.

    The moving part stands at the tool's pose seen from base_link_inertia; its quaternion has either sign.
    """
    x, y, z, yaw = (noisy(state, state.values[name]) for name in ("tool_x", "tool_y", "tool_z", "tool_yaw"))
    # base_link_inertia is base_link turned by pi about z, so its x and y are the negatives, and its heading is pi less.
    moving = quaternion(math.pi, 0.0, yaw - math.pi, state.rng.choice([-1.0, 1.0]))
    message = TFMessage(transforms=[transform("base_link_inertia", "wrist_3_link", (-x, -y, z), moving)])
    down = quaternion(math.pi, 0.0, yaw)
    sign = math.copysign(1.0, down.x)
    seen = {"tool_x": x, "tool_y": y, "tool_z": z}
    return message, seen | {f"tool_q{axis}": sign * getattr(down, axis) for axis in "xyzw"}


def fixed_tree(_state: State):
    """The latched part of the tree."""
    turned = transform("base_link", "base_link_inertia", rotation=Quaternion(z=1.0, w=0.0))
    return TFMessage(transforms=[turned, transform("wrist_3_link", "flange"), transform("flange", "tool0")]), {}


def move_tool(state: State, dt: float) -> None:
    for axis in "xyz":
        state.values[f"tool_{axis}"] += state.commands.get(f"tool_velocity_{axis}", 0.0) * dt
    state.values["tool_yaw"] += state.commands.get("tool_rotation_z", 0.0) * dt


def tool_velocity(message: TwistStamped):
    linear, angular = message.twist.linear, message.twist.angular
    values = {f"tool_velocity_{axis}": getattr(linear, axis) for axis in "xyz"} | {"tool_rotation_z": angular.z}
    return values, {"others": abs(angular.x) + abs(angular.y)}


# The kinds

UR = {name: f"{name}_joint" for name in ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")}
UR_START = dict(zip(UR, (0.3, -1.4, 1.2, -1.3, -1.57, 0.2), strict=True))
FRANKA = {f"joint_{k}": f"fr3_joint{k}" for k in range(1, 8)}
FRANKA_START = dict(zip(FRANKA, (0.1, -0.6, 0.2, -2.2, 0.1, 1.8, 0.7), strict=True))
SO101 = {name: name for name in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")}
GO2 = {f"{leg}_{part}": f"{leg}_{part}_joint" for leg in ("FL", "FR", "RL", "RR") for part in ("hip", "thigh", "calf")}
GO2_START = {name: {"hip": 0.1, "thigh": 0.8, "calf": -1.5}[name[3:]] for name in GO2}

program_running = Output(
    "/io_and_status_controller/robot_program_running", Bool, lambda s: (Bool(data=s.permitted), {}), qos=LATCHED
)


def fingers(state: State):
    """Both fingers of a hand, each at half of its width."""
    half = noisy(state, state.values["hand_width"]) / 2
    message = JointState(name=["fr3_finger_joint1", "fr3_finger_joint2"], position=[half, half])
    return message, {"hand_width": 2 * half}


def move_franka(state: State, dt: float) -> None:
    follow(FRANKA, 2.6)(state, dt)
    state.values["hand_width"] = 0.08 * state.commands.get("hand_opening", state.values["hand_width"] / 0.08)


def imu(state: State):
    """An attitude that sways a little."""
    message = Imu()
    message.header.frame_id = "imu_link"
    roll, pitch = noisy(state, 0.05), noisy(state, -0.1)
    message.orientation = quaternion(roll, pitch, 1.0, state.rng.choice([-1.0, 1.0]))
    rates = [float(0.1 * state.rng.standard_normal()) for _ in range(3)]
    message.angular_velocity.x, message.angular_velocity.y, message.angular_velocity.z = rates
    return message, {"roll": roll, "pitch": pitch} | dict(
        zip(("roll_rate", "pitch_rate", "yaw_rate"), rates, strict=True)
    )


def named_joints(message: JointState):
    by_joint = dict(zip(message.name, message.position, strict=True))
    details = {"names": list(message.name), "others": len(message.velocity) + len(message.effort)}
    return {f"{name}_target": by_joint[joint] for name, joint in GO2.items()}, details


BASE_START = {"x": 0.0, "y": 0.0, "heading": 3.0, "forward_velocity": 0.0, "turn_velocity": 0.0}
FLIGHT_START = {"x": 1.0, "y": -2.0, "z": 1.5, "roll": 0.02, "pitch": -0.03, "yaw": 2.0} | {
    name: 0.0 for name in ("velocity_x", "velocity_y", "velocity_z", "turn")
}

KINDS = {
    "ur5e_positions": Kind(
        UR_START,
        (
            Output("/joint_states", JointState, joint_states(UR, velocities=True), 100.0),
            Output("/joint_states", JointState, another_gripper, 20.0),
        ),
        (Input("/forward_position_controller/commands", Float64MultiArray, array_of(UR)),),
        follow(UR, 3.1),
        (program_running,),
    ),
    "ur5e_trajectory": Kind(
        UR_START,
        (
            Output("/joint_states", JointState, joint_states(UR), 100.0),
            Output("/joint_states", JointState, another_gripper, 20.0),
        ),
        (Input("/scaled_joint_trajectory_controller/joint_trajectory", JointTrajectory, trajectory_of(UR)),),
        follow(UR, 3.1),
        (program_running,),
    ),
    "franka_fr3": Kind(
        FRANKA_START | {"hand_width": 0.06},
        (
            Output("/franka/joint_states", JointState, joint_states(FRANKA), 100.0),
            Output("/franka_gripper/joint_states", JointState, fingers, 15.0),
        ),
        (
            Input("/fr3_arm_controller/joint_trajectory", JointTrajectory, trajectory_of(FRANKA)),
            Input(
                "/gripper/gripper_client/target_gripper_width_percent",
                Float32,
                lambda message: ({"hand_opening": message.data}, {}),
            ),
        ),
        move_franka,
    ),
    "so101": Kind(
        dict(zip(SO101, (0.2, -0.6, 0.7, 0.5, -0.3, 0.8), strict=True)),
        (Output("/follower/joint_states", JointState, joint_states(SO101), 100.0),),
        (Input("/follower/forward_controller/commands", Float64MultiArray, array_of(SO101)),),
        follow(SO101, 4.0),
    ),
    "turtlebot4": Kind(
        BASE_START,
        (
            Output("/scan", LaserScan, scan_of_beams, 8.0),
            Output("/odom", Odometry, odometry_of_base(("heading", "forward_velocity", "turn_velocity")), 20.0),
        ),
        (Input("/cmd_vel", TwistStamped, stamped_twist),),
        drive,
    ),
    "turtlebot3": Kind(
        BASE_START,
        (
            Output("/scan", LaserScan, scan_of_sectors, 10.0, SENSOR_DATA),
            Output(
                "/odom",
                Odometry,
                odometry_of_base(("heading_sine", "heading_cosine", "forward_velocity", "turn_velocity")),
                20.0,
            ),
        ),
        (Input("/cmd_vel", TwistStamped, stamped_twist),),
        drive,
    ),
    "unitree_go2": Kind(
        GO2_START,
        (
            Output("/imu_sensor_broadcaster/imu", Imu, imu, 100.0),
            Output("/joint_states", JointState, joint_states(GO2, velocities=True), 100.0),
        ),
        (Input("/joint_command", JointState, named_joints),),
        follow(GO2, 20.0),
    ),
    "drone": Kind(
        FLIGHT_START,
        (Output("/mavros/local_position/odom", Odometry, odometry_of_drone, 30.0, SENSOR_DATA),),
        (Input("/mavros/setpoint_velocity/cmd_vel_unstamped", Twist, map_velocity, SENSOR_DATA),),
        fly,
    ),
}
if TFMessage:
    KINDS["ur5e_servo"] = Kind(
        {"tool_x": 0.4, "tool_y": -0.1, "tool_z": 0.3, "tool_yaw": 0.5},
        (Output("/tf", TFMessage, tool_tree, 20.0),),
        (Input("/servo_node/delta_twist_cmds", TwistStamped, tool_velocity),),
        move_tool,
        (Output("/tf_static", TFMessage, fixed_tree, qos=LATCHED), program_running),
    )
