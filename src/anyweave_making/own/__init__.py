"""Your own data, one command: looked at, held out, planned, trained, and shown before and after."""

from anyweave_making.own.look import OwnData, look_at
from anyweave_making.own.plan import Plan, make_plan
from anyweave_making.own.run import OwnReport, check_free, train_own

__all__ = ["OwnData", "OwnReport", "Plan", "check_free", "look_at", "make_plan", "train_own"]
