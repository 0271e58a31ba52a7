"""Where the package's files are: contracts, parameters, launch files, trained models."""

from pathlib import Path


def share_path(*parts: str) -> Path:
    """Path of a file or folder that the package ships, e.g. `share_path("config", "NAME.yaml")`.

    Looks in the checkout (also an editable install), then where the ament index says that `lwd_ros` is installed, then
    below the prefix that this module is installed in (pip without a sourced ROS).

    Raises:
        FileNotFoundError: it is in none of them; the message names the places.
    """
    looked = []
    for root in _roots():
        path = root.joinpath(*parts)
        if path.exists():
            return path
        looked.append(str(root))
    raise FileNotFoundError(f"lwd_ros ships no {'/'.join(parts)}; looked in {', '.join(looked)}")


def _roots():
    module = Path(__file__).resolve()
    checkout = module.parents[1]
    if (checkout / "package.xml").is_file():
        yield checkout
    try:
        from ament_index_python import get_package_share_directory

        yield Path(get_package_share_directory("lwd_ros"))
    except (ImportError, LookupError, OSError):  # no ament, not in its index, no AMENT_PREFIX_PATH
        pass
    if checkout.name in ("site-packages", "dist-packages"):
        yield module.parents[4] / "share" / "lwd_ros"  # PREFIX/lib/pythonX.Y/site-packages/lwd_ros/resources.py
