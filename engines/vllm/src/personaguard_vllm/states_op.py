"""The operator that adds the residual stream at one layer to sums over tokens.

Like the one in `op.py`, it is opaque, works on persistent buffers alone, and has two forms. While a
CUDA graph is captured it takes as many entries as a step can have; those that are not wanted add to
a line that nobody reads.
"""

import torch

_LIBRARY = torch.library.Library("personaguard", "FRAGMENT")
_LIBRARY.define(
    "states(Tensor hidden, Tensor? residual, Tensor(a!) sums, Tensor rows, Tensor targets,"
    " Tensor count, int layer) -> ()"
)


def states(
    hidden: torch.Tensor,
    residual: torch.Tensor | None,
    sums: torch.Tensor,
    rows: torch.Tensor,
    targets: torch.Tensor,
    count: torch.Tensor,
    layer: int,
) -> None:
    """Adds each row of the stream that `rows` names to the line of `sums` in `targets`."""
    if hidden.is_cuda and torch.cuda.is_current_stream_capturing():
        # A row is named twice at most: as the prompt's last token, too.
        taken = min(rows.shape[0], 2 * hidden.shape[0])
    else:
        taken = int(count[0])
        if taken == 0:
            return
    wanted = rows[:taken]
    stream = hidden.index_select(0, wanted).float()
    if residual is not None:
        stream = stream + residual.index_select(0, wanted).float()
    sums[:, layer].index_add_(0, targets[:taken], stream)


def _shapes(*_arguments: object) -> None:
    """What tracing needs to know: nothing new is made."""


_LIBRARY.impl("states", states, "CompositeExplicitAutograd")
torch.library.register_fake("personaguard::states", _shapes, lib=_LIBRARY)
