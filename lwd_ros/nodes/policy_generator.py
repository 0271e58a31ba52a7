"""The policy generator: a service call samples a policy and publishes its weights. No torch."""

import difflib
import sys
import time

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.logging import LoggingSeverity
from rclpy.task import Future

from lwd_msgs.msg import PolicyWeights
from lwd_msgs.srv import GeneratePolicy, GetPolicy, ListTasks
from lwd_ros.contract import Contract
from lwd_ros.control import Observation, ObservationAssembler, yield_to_others
from lwd_ros.errors import LwdError
from lwd_ros.generator import ModelError, PolicyGenerator
from lwd_ros.generator.conditions import OBSERVATION, requested
from lwd_ros.generator.generator import draw_seed
from lwd_ros.nodes.conversions import policy_to_message, to_nanoseconds, to_stamp
from lwd_ros.nodes.managed import ManagedNode, run
from lwd_ros.nodes.rclpy_private import before_response, write_log
from lwd_ros.nodes.streams import BEST_EFFORT, LATCHED, StreamSubscriber


class PolicyGeneratorNode(ManagedNode):
    """Samples policies from a model file. See docs/reference/nodes.md for parameters, topics and services.

    The services answer in every lifecycle state: before the node is active with `success: false` and the reason. So a
    model file that cannot be used does not end the node: it may be mended and configured again.
    """

    mendable = (ModelError, OSError)

    def __init__(self):
        super().__init__("policy_generator")
        self.declare("model_file", "", "model file made by 'lwd export'; required")
        self.declare("contract_file", "", "contract whose binding names the observation streams; empty: the model's")
        self.declare("joint_prefix", "", "in front of the joints' names; empty: as the contract file says")
        self.declare("observation_timeout_s", 1.0, "longest wait for the observation of a conditioned model, s", 0.0)
        self.declare("sampling_steps", 0, "of the latent: more are slower and more exact; 0: as the model says", 0)
        self.declare("nice", 10, "yield this much to other processes, a controller above all; 0: not at all", 0, 19)
        self._generator: PolicyGenerator = None  # there is one from configure to cleanup
        self._last: PolicyWeights | None = None
        self._fresh: PolicyWeights | None = None  # generated and not published yet
        self._observations = self._assembler = None
        self._waiting: tuple[int, Future] | None = None
        self._generated = 0
        self._yielded = False
        # A group of its own: while a request waits for an observation, the default group must go on receiving them.
        group = MutuallyExclusiveCallbackGroup()
        generate = self.create_service(GeneratePolicy, "~/generate_policy", self._on_generate, callback_group=group)
        before_response(generate, self._publish)
        self.create_service(GetPolicy, "~/get_policy", self._on_get)
        self.create_service(ListTasks, "~/list_tasks", self._on_list)

    def configure(self) -> None:
        model = self.required("model_file", "a model made by 'lwd export' (.onnx)")
        generator = PolicyGenerator(model, self.get_parameter("sampling_steps").value)
        found = generator.description.contract
        if generator.description.condition_on_observation or self.get_parameter("contract_file").value:
            path = self.required("contract_file", f"the robot's contract (YAML): {model} needs an observation")
            contract = Contract.load(path, self.get_parameter("joint_prefix").value or None)
        else:
            contract = found
        if found.digest != contract.digest:
            raise ModelError(
                f"{model}: was trained for contract '{found.name}' {found.digest[:12]}, expected "
                f"'{contract.name}' {contract.digest[:12]}; they differ in {', '.join(found.differences(contract)[:5])}"
            )
        self._generator, self._contract = generator, contract
        if not self._yielded:
            yield_to_others(self.get_parameter("nice").value)
            self._yielded = True
        self._publisher = self.create_publisher(PolicyWeights, "policy", LATCHED)
        conditions = " and ".join(condition.name for condition in generator.description.conditions)
        self.get_logger().info(
            f"model {generator.path.name} {generator.digest[:12]}: {len(generator.tasks)} tasks, policies of "
            f"{generator.description.layout.parameters} parameters, generated for {conditions}"
        )
        self.tell_contract(contract)

    def activate(self) -> None:
        if self._generator.description.condition_on_observation:
            self._assembler = ObservationAssembler(self._contract)
            streams = self._contract.require_binding().observation_streams
            self._observations = StreamSubscriber(self, streams, self._on_observation, self.warn, BEST_EFFORT)

    def deactivate(self) -> None:
        if self._observations is not None:
            self._observations.destroy()
            self._observations = self._assembler = None
        if self._waiting is not None:
            self._answer(None)

    def cleanup(self) -> None:
        if self._generator is not None:
            self.destroy_publisher(self._publisher)
        self._generator = self._last = None  # type: ignore[assignment]

    def _on_observation(self, place: int, stamp_ns: int, frame_id: str | None, values, _received_ns: int) -> None:
        observation = self._assembler.add(place, stamp_ns, frame_id, values, self.now_s())
        if observation is None:
            return
        if self._waiting is not None and observation.stamp_ns >= self._waiting[0]:
            self._answer(observation)

    def _answer(self, observation: Observation | None) -> None:
        """Let the request that waits go on; there is one at most, because their callback group is exclusive."""
        assert self._waiting is not None
        (_, future), self._waiting = self._waiting, None
        future.set_result(observation)

    async def _observation(self, not_before_ns: int) -> Observation:
        """The first complete observation that arrives from now on, stamped at or after `not_before_ns`."""
        timeout = self.get_parameter("observation_timeout_s").value
        future = Future()
        self._assembler.reset()
        self._waiting = (not_before_ns, future)

        def give_up() -> None:
            if self._waiting is not None:
                self._answer(None)

        timer = self.create_timer(timeout, give_up, clock=self.steady)
        observation = await future
        self.destroy_timer(timer)
        if observation is not None:
            return observation
        if self._assembler is None:
            raise ModelError("the generator was deactivated while it waited for an observation")
        missing = self._observations.explain(self._assembler.missing(self.now_s()))
        raise ModelError(
            f"{self._generator.path.name} is conditioned on an observation and none came within {timeout:g} s: "
            f"{'; '.join(each.reason for each in missing) or 'stamps differ or are older than asked for'}"
        )

    async def _on_generate(self, request: GeneratePolicy.Request, response: GeneratePolicy.Response):
        called_ns = time.time_ns()
        try:
            if not self.is_active:
                raise ModelError(self._why_not())
            generator, description = self._generator, self._generator.description
            names, texts = request.condition_names, request.condition_values
            values = requested(description.conditions, request.task, names, texts, generator.path.name)
            task = values[description.task_condition.name]
            if task not in generator.tasks:
                close = difflib.get_close_matches(task, generator.tasks, 1)
                meant = f" (did you mean {close[0]}?)" if close else ""
                known = f"{generator.path.name} knows {', '.join(generator.tasks)}"
                raise ModelError(f"task '{task}' is unknown{meant}; {known}")
            seen = description.condition(OBSERVATION)
            if seen is not None and seen.name not in values:
                observation = await self._observation(to_nanoseconds(request.not_before))
                response.observation_stamp, values[seen.name] = to_stamp(observation.stamp_ns), observation.vector
            seed = request.seed or draw_seed()
            start = time.perf_counter()
            policy = generator.generate(values, seed)
            response.generation_s = time.perf_counter() - start
        except ModelError as error:
            response.message = str(error)
            self.get_logger().error(f"no policy for '{request.task}': {error}")
            return response
        self._fresh = policy_to_message(policy, to_stamp(time.time_ns()), to_stamp(called_ns))
        response.success, response.policy_id, response.seed = True, policy.policy_id, seed
        response.policy_parameters = policy.parameters
        response.stamp = self._fresh.header.stamp
        response.message = f"published policy {policy.policy_id} for '{policy.task}'"
        if not self._publisher.get_subscription_count():
            response.message += f", but no controller listens to {self._publisher.topic_name} yet"
        sentence = f"{response.message} in {1e3 * response.generation_s:.1f} ms (seed {seed})"
        write_log(self.get_logger(), LoggingSeverity.INFO, sentence)
        return response

    def _publish(self, _response: GeneratePolicy.Response, arrived_ns: int) -> None:
        """Publish what was generated, with the arrival of its request, which may have waited for another one's end."""
        fresh, self._fresh = self._fresh, None
        if fresh is None or self._generator is None:
            return
        if arrived_ns:
            fresh.requested = to_stamp(arrived_ns)
        self._publisher.publish(fresh)
        self._last, self._generated = fresh, self._generated + 1

    def _why_not(self) -> str:
        if isinstance(self.failure, (LwdError, OSError)):
            return f"the generator is {self.state}: {self.failure}"
        return f"the generator is {self.state}, not active: configure and activate it first"

    def _how_to_ask(self) -> str:
        service = self.resolve_service_name("~/generate_policy")
        text = f'ros2 service call {service} lwd_msgs/srv/GeneratePolicy "{{task: {self._generator.tasks[0]}}}"'
        return f"this generator has generated no policy since it started; ask for one: {text}"

    def _on_get(self, request, response: GetPolicy.Response):
        if self._last is None:
            response.message = self._how_to_ask() if self.is_active else self._why_not()
        else:
            response.success, response.policy = True, self._last
        return response

    def _on_list(self, request, response: ListTasks.Response):
        generator = self._generator
        if generator is None:
            response.message = self._why_not()
            return response
        response.success, response.tasks = True, list(generator.tasks)
        response.model, response.model_digest = str(generator.path), generator.digest
        response.contract_digest = generator.description.contract.digest
        response.condition_on_observation = generator.description.condition_on_observation
        response.conditions = [condition.name for condition in generator.description.conditions]
        return response

    def diagnose(self):
        generator = self._generator
        values = {
            "model": generator.path,
            "model_digest": generator.digest,
            "tasks": len(generator.tasks),
            "conditions": ", ".join(condition.name for condition in generator.description.conditions),
            "generated": self._generated,
            "last_task": self._last.task if self._last else "",
        }
        return DiagnosticStatus.OK, f"ready for {len(generator.tasks)} tasks", values


def main(args=None) -> int:
    """Run the node; the exit status of `run`."""
    return run(PolicyGeneratorNode, args)


if __name__ == "__main__":
    sys.exit(main())
