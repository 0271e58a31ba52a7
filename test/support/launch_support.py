"""A small stand-in for `launch` and `launch_ros`, which are not on PyPI: what a launch file declares and starts."""

import importlib.util
import os
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Built:
    """What a launch file declares and starts, run with `given` arguments against the stand-in."""

    def __init__(self, name: str, given: dict, monkeypatch):
        self.values = dict(given)
        self.arguments, self.included, self.nodes = {}, [], {}
        for module, contents in self._stand_in().items():
            stub = types.ModuleType(module)
            vars(stub).update(contents)
            monkeypatch.setitem(sys.modules, module, stub)
        path = ROOT / "launch" / f"{name}.launch.py"
        launched = types.SimpleNamespace(launch_description_source=types.SimpleNamespace(location=str(path)))
        event = types.SimpleNamespace(launch_description=types.SimpleNamespace(entities=[launched]))
        self.context = types.SimpleNamespace(
            argv=[f"{key}:={value}" for key, value in given.items()], locals=types.SimpleNamespace(event=event)
        )
        self._include(path)

    def _described(self, path: Path):
        spec = importlib.util.spec_from_file_location(path.name.replace(".", "_"), path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.generate_launch_description()

    def _include(self, path: Path):
        self.included.append(path)
        for action in self._described(path).actions:
            action.execute()

    def _declare(self, name, *, description, default_value=None, choices=None):
        def execute():
            assert default_value is not None or name in self.values, f"required argument {name} is not given"
            value = self.values.setdefault(name, default_value)
            assert choices is None or value in choices, f"{name}: {value!r} is not one of {choices}"
            self.arguments.setdefault(name, (default_value, description))

        return types.SimpleNamespace(execute=execute, name=name)

    def _node(self, *, executable, parameters, **others):
        assert others["package"] == "lwd_ros" and others["name"] == executable
        for value in [*others.values(), *others["ros_arguments"]]:
            if hasattr(value, "perform"):
                value.perform(None)
        self.nodes[executable] = types.SimpleNamespace(parameters=parameters, **others)

    def _stand_in(self):
        class LaunchConfiguration:
            def __init__(this, name):
                this.name = name

            def perform(this, context):
                assert this.name in self.arguments, f"argument {this.name} is used and not declared before"
                return self.values[this.name]

            def __str__(this):
                return this.perform(None)

        class FindPackageShare(str):
            def __new__(cls, package):
                assert package == "lwd_ros"
                return str.__new__(cls, ROOT)

            def perform(this, context):
                return str(this)

        class LaunchDescription:  # actions run in order, when the description is executed
            def __init__(this, actions):
                this.actions = list(actions)

            def add_action(this, action):
                this.actions.append(action)

            def get_launch_arguments(this):
                names = [action for action in this.actions if "name" in vars(action)]
                for action in this.actions:
                    if "source" in vars(action):
                        names += self._described(action.source).get_launch_arguments()
                return names

        def include(source, launch_arguments=()):
            def execute():
                self.values.update({name: str(value) for name, value in launch_arguments})
                self._include(Path(source))

            return types.SimpleNamespace(execute=execute, source=Path(source))

        return {
            "launch": {"LaunchDescription": LaunchDescription},
            "launch.actions": {
                "DeclareLaunchArgument": self._declare,
                "IncludeLaunchDescription": include,
                "OpaqueFunction": lambda function: types.SimpleNamespace(execute=lambda: function(self.context)),
            },
            "launch.launch_description_sources": {"PythonLaunchDescriptionSource": str},
            "launch.substitutions": {
                "LaunchConfiguration": LaunchConfiguration,
                "PathJoinSubstitution": lambda parts: os.path.join(*parts),
            },
            "launch_ros": {},
            "launch_ros.actions": {"Node": self._node},
            "launch_ros.parameter_descriptions": {"ParameterValue": lambda value, value_type: value_type(value)},
            "launch_ros.substitutions": {"FindPackageShare": FindPackageShare},
        }
