"""Serves a LeRobot dataset's samples from memory: the same tensors as its own reader, without that reader's time."""

import random

import torch


def from_memory(dataset) -> None:
    """Make a LeRobotDataset without cameras answer from memory; AssertionError where one of 20 samples differs.

    Its reader takes some milliseconds of processor time for each sample, which is more than a small network's step.
    """
    kind, plain = type(dataset), type(dataset).__getitem__
    dataset[0]  # its reader is made by the first sample
    columns = {}
    for name in dataset.hf_dataset.column_names:
        columns[name] = torch.stack([torch.as_tensor(each) for each in dataset.hf_dataset[name]])
    numbers = columns["episode_index"]
    first = torch.searchsorted(numbers, numbers, side="left")
    last = torch.searchsorted(numbers, numbers, side="right") - 1
    rates = dataset.reader.delta_indices or {}
    deltas = {key: torch.tensor(value) for key, value in rates.items()}
    texts = {int(row.task_index): text for text, row in dataset.meta.tasks.iterrows()}

    def sample(self, place: int) -> dict:
        item = {key: values[place] for key, values in columns.items() if key not in deltas}
        for key, delta in deltas.items():
            wanted = place + delta
            item[key] = columns[key][wanted.clamp(first[place], last[place])]
            item[f"{key}_is_pad"] = (wanted < first[place]) | (wanted > last[place])
        item["task"] = texts[int(item["task_index"])]
        return item

    chosen = random.Random(0).sample(range(len(dataset)), 20)
    expected = [plain(dataset, place) for place in chosen]
    for place, theirs in zip(chosen, expected, strict=True):
        ours = sample(dataset, place)
        assert set(ours) == set(theirs), (sorted(ours), sorted(theirs))
        for key, value in theirs.items():
            same = (
                torch.equal(ours[key], value) and ours[key].dtype == value.dtype
                if key != "task"
                else ours[key] == value
            )
            assert same, (place, key, ours[key], value)
    kind.__getitem__ = sample
