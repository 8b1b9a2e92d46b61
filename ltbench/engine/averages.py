"""Moving averages: of which values, how they move, and the module while it holds them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def float_buffers(module: nn.Module, frozen: Sequence[nn.Module]) -> list[str]:
    """Names of the buffers of the state that have a mean; those of towers nobody trains stay as they are."""
    left_out = {id(buffer) for tower in frozen for buffer in tower.buffers()}
    state = module.state_dict(keep_vars=True)
    return [
        name
        for name, buffer in module.named_buffers()
        if name in state and buffer.is_floating_point() and id(buffer) not in left_out
    ]


def average_of(values: Sequence[nn.Parameter], decay: float) -> AveragedModel:
    """An exponential moving average that holds the values as they are now; ``update_parameters`` moves it on."""
    average = AveragedModel(nn.ParameterList(values), multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
    # The first update copies, so that the average begins with the initial values and not with those of a step.
    average.update_parameters(nn.ParameterList(values))
    return average.requires_grad_(False)


class Swapped:
    """Exchanges parameter values for the averages, and back at the end unless told to keep them."""

    def __init__(self, parameters: list[nn.Parameter], averages: list[nn.Parameter] | None) -> None:
        self._parameters = parameters
        self._averages = averages
        self._saved: list[Tensor] = []

    def __enter__(self) -> Swapped:
        if self._averages is not None:
            self._saved = [p.detach().clone() for p in self._parameters]
            for parameter, average in zip(self._parameters, self._averages, strict=True):
                parameter.data.copy_(average.data)
        return self

    def keep(self) -> None:
        self._saved = []

    def __exit__(self, *_: object) -> None:
        for parameter, value in zip(self._parameters, self._saved, strict=False):
            parameter.data.copy_(value)
