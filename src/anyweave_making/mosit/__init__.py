"""Modality-switching dialogues (MosIT, paper section 5.2): drafts from a grammar or a language
model, media from collections or a generator, filters, people's review, and a dataset with a card.

``build_drafts`` -> ``fill_drafts`` -> ``Review`` -> ``publish``, each into a journal in one work
folder, so that every step can be stopped and resumed.
"""

from __future__ import annotations

from anyweave.data.written import write_conversation
from anyweave_making.mosit.build import build_drafts
from anyweave_making.mosit.dialogue import Dialogue
from anyweave_making.mosit.fill import Filler, Generator, fill_drafts
from anyweave_making.mosit.filters import Filters, Selection, select
from anyweave_making.mosit.grammar import ACTS, PHRASES, Act, Grammar
from anyweave_making.mosit.held_out import HeldOut, read_held_out
from anyweave_making.mosit.prompting import Prompter, read_examples
from anyweave_making.mosit.publish import publish, selected
from anyweave_making.mosit.review import Review
from anyweave_making.mosit.talk import Talk
from anyweave_making.mosit.topics import Plan, Question, Topic, grounded, read_topics
from anyweave_making.written import read_conversation

__all__ = [
    "ACTS",
    "PHRASES",
    "Act",
    "Dialogue",
    "Filler",
    "Filters",
    "Generator",
    "Grammar",
    "HeldOut",
    "Plan",
    "Prompter",
    "Question",
    "Review",
    "Selection",
    "Talk",
    "Topic",
    "build_drafts",
    "fill_drafts",
    "grounded",
    "publish",
    "read_conversation",
    "read_examples",
    "read_held_out",
    "read_topics",
    "select",
    "selected",
    "write_conversation",
]
