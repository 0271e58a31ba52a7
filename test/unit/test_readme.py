"""Pins that README lets people in: short, its first command early, its links alive, its contract a contract."""

import re
from pathlib import Path

import yaml

import lwd_ros
from lwd_ros.contract import Contract

ROOT = Path(lwd_ros.__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8").partition("-->\n")[2]


def test_it_is_short_and_its_first_command_comes_early():
    before, _, after = README.partition("```bash\n")
    assert len(before.split()) <= 90
    assert after.startswith("make demo")
    assert len(README.split()) <= 650


def test_its_links_lead_somewhere():
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_its_contract_is_one():
    (example,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    contract = Contract.from_dict(yaml.safe_load(example), "README.md")
    assert contract.binding is not None and contract.command_names == ("elbow_target",)
