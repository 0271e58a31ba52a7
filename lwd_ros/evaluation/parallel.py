"""Where episodes run: processes of this machine, or a Dask or Ray cluster, through joblib's backends."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from joblib import Parallel, parallel_config
from joblib.parallel import get_active_backend
from tqdm import tqdm

from lwd_ros.errors import LwdError

BACKENDS = ("loky", "multiprocessing", "threading", "dask", "ray")
"""Of joblib. Threads wait for each other's turn in the interpreter: slow, but a profiler can look into them."""

_CLUSTERS = ("dask", "ray")
_ANSWER_S = 10.0  # how long a scheduler may take to answer


class BackendError(LwdError):
    """A cluster cannot be used as asked; says what was found and what was expected."""


@contextmanager
def backend(name: str, workers: int, address: str = "") -> Iterator[None]:
    """Within this context, everything that goes through joblib runs on the backend `name`.

    Args:
        name: one of BACKENDS.
        workers: processes of a cluster that is started here.
        address: of a Dask scheduler or a Ray head that runs already, e.g. "tcp://host:8786". Its workers need the same
            versions of lwd_ros and its libraries, and the model file under the same path.

    Raises:
        BackendError: an address without a cluster to look for, or nothing answers there.
        ModuleNotFoundError: the cluster's package is not installed.
    """
    if address and name not in _CLUSTERS:
        raise BackendError(f"--scheduler: found backend '{name}', expected one of {', '.join(_CLUSTERS)}")
    with ExitStack() as stack:
        options = {}
        if name == "dask":
            options["client"] = _dask(stack, workers, address)
        elif name == "ray":
            _ray(stack, workers, address)
        stack.enter_context(parallel_config(backend=name, **options))
        yield


def _dask(stack: ExitStack, workers: int, address: str):
    """A client of the scheduler at `address`, or of a cluster of single-threaded processes that ends with `stack`."""
    from distributed import Client, LocalCluster

    if not address:
        cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        return stack.enter_context(Client(stack.enter_context(cluster)))
    try:
        return stack.enter_context(Client(address, timeout=_ANSWER_S))
    except (OSError, ValueError) as error:  # ValueError: not an address
        text = f"--scheduler: no Dask scheduler answers at '{address}' ({error}); expected tcp://HOST:PORT"
        raise BackendError(text) from error


def _ray(stack: ExitStack, workers: int, address: str) -> None:
    """Connect to the Ray head at `address`, or start one of `workers` processes that ends with `stack`."""
    import ray
    from ray.util.joblib import register_ray

    try:
        if address:
            ray.init(address=address)
        else:
            ray.init(num_cpus=workers, include_dashboard=False)
    except (ConnectionError, ValueError) as error:
        raise BackendError(f"--scheduler: no Ray head answers at '{address}' ({error}); expected HOST:PORT") from error
    stack.callback(ray.shutdown)
    register_ray()


def in_order(calls: Iterable, workers: int, desc: str, unit: str) -> Iterator:
    """Results of joblib's delayed `calls`, in their order, behind a progress bar; `workers` -1: all there are.

    With backends that cannot hand over results one by one (multiprocessing, ray) the bar stands still until the end.
    """
    calls = list(calls)
    one_by_one = workers == 1 or get_active_backend()[0].supports_return_generator
    results = Parallel(n_jobs=workers, return_as="generator" if one_by_one else "list")(calls)
    yield from tqdm(results, total=len(calls), desc=desc, unit=unit)
