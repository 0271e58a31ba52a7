"""Acts by a policy that lerobot trained; executed by the Python of lerobot's environment.

Usage: serve.py CHECKPOINT ACTION_STEPS

Lines of JSON on the standard streams, one answer for each question:
    {"seed": 5}                                     an episode begins        {}
    {"state": [...], "environment_state": [...]}    a control step           {"action": [...], "asked": true, "ms": 3.1}
    {"about": true}                                 what it is               {"parameters": ..., "memory_mb": ...}

Preprocessing, queues of actions and postprocessing are lerobot's own. `asked` says whether the network was asked for a
chunk of actions in this step, `ms` is the processor time of the whole step.
"""

import json
import os
import sys
import time
from pathlib import Path

import torch

torch.set_num_threads(1)
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print must not stand among the answers

from lerobot.configs.policies import PreTrainedConfig  # noqa: E402
from lerobot.policies.factory import get_policy_class, make_pre_post_processors  # noqa: E402


def main(checkpoint: Path, action_steps: int) -> None:
    """Answer until the questions end."""
    config = PreTrainedConfig.from_pretrained(checkpoint)
    config.device, config.n_action_steps = "cpu", action_steps
    policy = get_policy_class(config.type).from_pretrained(checkpoint, config=config)
    policy.eval()
    before, after = make_pre_post_processors(config, pretrained_path=str(checkpoint))
    asked = [0]
    # ACT and Diffusion Policy both make their chunks in this method.
    chunk = policy.predict_action_chunk

    def counted(*arguments, **named):
        asked[0] += 1
        return chunk(*arguments, **named)

    policy.predict_action_chunk = counted
    for line in sys.stdin:
        question = json.loads(line)
        if "about" in question:
            size = sum(each.numel() for each in policy.parameters())
            status = Path("/proc/self/status").read_text()  # not getrusage, which knows what the parent used
            memory = int(status.split("VmHWM:")[1].split()[0]) / 1024
            answer = {"parameters": size, "bytes": (checkpoint / "model.safetensors").stat().st_size,
                      "memory_mb": round(memory, 1)}  # fmt: skip
        elif "seed" in question:
            torch.manual_seed(question["seed"])
            policy.reset()
            answer = {}
        else:
            start, count = time.process_time(), asked[0]
            batch = {f"observation.{key}": torch.tensor(value, dtype=torch.float32) for key, value in question.items()}
            with torch.inference_mode():
                action = after(policy.select_action(before(batch)))
            used = 1000 * (time.process_time() - start)
            answer = {"action": action.squeeze(0).double().tolist(), "asked": asked[0] > count, "ms": round(used, 4)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


main(Path(sys.argv[1]), int(sys.argv[2]))
