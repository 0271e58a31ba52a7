"""What is on a recording's topics, for a first contract."""

from collections.abc import Iterable

from lwd_ros.contract.guess import is_usable
from lwd_ros.contract.sightings import Sighting
from lwd_ros.dataset.bags.bag import Bag
from lwd_ros.dataset.bags.records import BagError


def sightings(bag: Bag, topics: Iterable[str] = ()) -> list[Sighting]:
    """One sighting of each topic. Messages are read of those that a contract can be guessed from, and of `topics`.

    What cannot be decoded is the sighting's `problem`.
    """
    result = {each.name: Sighting(each.name, each.type, each.qos, each.latched) for each in bag.topics.values()}
    wanted = [name for name, each in result.items() if is_usable(name, each.type) or name in set(topics)]
    for part in bag.parts:
        for sighting in result.values():
            sighting.pause()
        for message in part.messages(wanted):
            sighting = result[message.topic]
            try:
                content = message.message
            except BagError as error:
                sighting.problem = sighting.problem or str(error)
                continue
            sighting.add(content, message.log_ns)
    return list(result.values())
