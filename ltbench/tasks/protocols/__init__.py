"""Label protocols: how complete labels become observed ones. The protocols are here; the draws are in ``masks``."""

from ltbench.tasks.protocols.union import (
    Full,
    LabelProtocol,
    Partial,
    Plt,
    ProtocolError,
    SeenOnly,
    SinglePositive,
    fingerprint,
)

__all__ = [
    "Full",
    "LabelProtocol",
    "Partial",
    "Plt",
    "ProtocolError",
    "SeenOnly",
    "SinglePositive",
    "fingerprint",
]
