"""The site: `make docs`. Pages are MyST; what the code says of itself is read from the code (`_ext`)."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "docs" / "_ext")]

from sphinx.ext.autodoc._dynamic._mock import _MockObject  # noqa: E402

from lwd_ros import __version__  # noqa: E402

project, author, release = "lwd_ros", "lwd_ros maintainers", __version__
project_copyright = "lwd_ros maintainers, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click", "code_pages"]
exclude_patterns = ["_build", "_ext", "**/results"]
html_theme = "furo"
html_title = "lwd_ros"
html_theme_options = {"source_edit_link": "", "top_of_page_buttons": []}
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

# Docstrings are plain text with code in single backticks; `code_pages` turns them into reStructuredText.
autodoc_default_options = {"members": True, "member-order": "bysource", "ignore-module-all": True}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
# The site is built without ROS 2, simulators and PyTorch.
# fmt: off
autodoc_mock_imports = [
    "ament_index_python", "builtin_interfaces", "dask", "diagnostic_msgs", "diffusers", "distributed",
    "geometry_msgs", "gymnasium", "imageio", "joblib", "lifecycle_msgs", "lwd_msgs", "matplotlib", "mcap",
    "metaworld",
    "mujoco", "nav_msgs", "onnx", "onnxruntime", "pandas", "PIL", "psutil", "pyarrow", "pytransform3d",
    "rcl_interfaces", "rclpy", "rosbags", "rosgraph_msgs", "safetensors", "scipy", "sensor_msgs", "std_msgs",
    "std_srvs", "tf2_msgs", "torch", "tqdm", "zstandard",
]
# fmt: on

# Shapes in docstrings, as in "float64 [2, commands]", are read as types; several classes have such an attribute.
suppress_warnings = ["ref.python"]

linkcheck_timeout = 20

# Annotations such as `torch.Tensor | None` are evaluated on import, and Sphinx's stand-ins know no `|`.
_MockObject.__or__ = _MockObject.__ror__ = lambda self, other: self
