"""The decision benchmark: does a model give the media that a person would want, and no others?"""

from anyweave.evaluation.decision.answering import (
    Answers,
    model_answers,
    read_message,
    server_answers,
)
from anyweave.evaluation.decision.requests import Request, choose, load_requests
from anyweave.evaluation.decision.run import measure
from anyweave.evaluation.decision.scoring import Answer, DecisionReport, score

__all__ = [
    "Answer",
    "Answers",
    "DecisionReport",
    "Request",
    "choose",
    "load_requests",
    "measure",
    "model_answers",
    "read_message",
    "score",
    "server_answers",
]
