"""Find a user's media by what they show: an index, and whether to reply from it."""

from anyweave.retrieval.building import BuildReport, build_index
from anyweave.retrieval.decision import Decision
from anyweave.retrieval.finder import Finder
from anyweave.retrieval.index import Entry, Index, Match

__all__ = ["BuildReport", "Decision", "Entry", "Finder", "Index", "Match", "build_index"]
