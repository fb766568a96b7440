"""People's own judgement: blind ratings side by side, kept, summed up and exported."""

from anyweave.evaluation.human.results import HumanResults, krippendorff_alpha, summarise, votes_csv
from anyweave.evaluation.human.screens import Screens
from anyweave.evaluation.human.votes import ASPECTS, Vote, Votes

__all__ = [
    "ASPECTS",
    "HumanResults",
    "Screens",
    "Vote",
    "Votes",
    "krippendorff_alpha",
    "summarise",
    "votes_csv",
]
