"""What the label protocols and group rules refuse."""

from __future__ import annotations


class ProtocolError(ValueError):
    """Labels, ids or class names that a protocol or a group rule cannot work on; the message says which."""
