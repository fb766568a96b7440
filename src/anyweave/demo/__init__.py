"""The demonstration: scripted questions, the model's own answers, a page to see and hear them."""

from anyweave.demo.script import read_scripts
from anyweave.demo.show import run_demo

__all__ = ["read_scripts", "run_demo"]
