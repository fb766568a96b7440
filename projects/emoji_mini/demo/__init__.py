"""The demonstration: scripted questions, the model's own answers, a page to see and hear them."""

from emoji_mini.demo.script import SCRIPTS, read_scripts
from emoji_mini.demo.show import run_demo

__all__ = ["SCRIPTS", "read_scripts", "run_demo"]
