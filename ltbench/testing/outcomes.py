"""How a check of the conformance kit may end, other than well."""

from __future__ import annotations

from enum import StrEnum


class Failed(Exception):
    """The method breaks a rule; the message says how."""


class SkipReason(StrEnum):
    """Why a check does not apply."""

    NEEDS_NOT_MET = "needs-not-met"
    NO_GRADIENT = "no-gradient"
    OWN_POLICY = "own-unknown-policy"
    OPAQUE_LOSS = "opaque-loss"
    WHOLE_BATCHES = "whole-batches"
    NOT_REACHED = "not-reached"


class Skipped(Exception):
    """The check does not apply."""

    def __init__(self, reason: SkipReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
