"""The checkpoint that was released in 2023, converted: ``convert(file, out, base=vicuna)``."""

from anyweave.legacy.conversion import Conversion, convert
from anyweave.legacy.layout import Layout
from anyweave.legacy.spec import Parts

__all__ = ["Conversion", "Layout", "Parts", "convert"]
