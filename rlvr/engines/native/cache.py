"""The slot cache: keys and values of every completion in flight, behind transformers' cache interface.

All of the library's cache interface that the engine relies on is in this file.
S slots, R rows of a forward pass, H key-value heads, T positions, D head size.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

WIDTH_STEP = 32
"""Attention reads this many positions or a multiple: matmul rows are bit-equal across such widths, not below."""

_SMALL_MATMUL = 400
"""Products of fewer multiplications than this take another code path in torch's CPU bmm, with other rounding."""


def round_up(size: int, multiple: int) -> int:
    """Gives the smallest multiple that is at least `size`."""
    return -(-size // multiple) * multiple


class _View:
    """What the layers must know of the forward pass under way: a prefill, or a decode of slots [0, rows)."""

    def __init__(self) -> None:
        self.prefill = True
        self.rows = 0
        self.width = 0
        self.num_slots = 0
        self.capacity = 0
        self.positions = torch.zeros(0, dtype=torch.long)
        self._index: tuple[int, Tensor] | None = None

    def decode(self, positions: Tensor, width: int) -> None:
        self.prefill, self.rows, self.width, self.positions = False, len(positions), width, positions
        self._index = None

    def flat_index(self, heads: int) -> Tensor:
        """Where this pass writes in a [S*H*T, D] view: [R*H]. Layers of one shape share the answer."""
        if self._index is None or self._index[0] != heads:
            places = torch.arange(self.rows * heads, device=self.positions.device).view(self.rows, heads)
            self._index = (heads, (places * self.capacity + self.positions[:, None]).view(-1))
        return self._index[1]


class SlotLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values [S,H,T,D]; a decode writes one position per slot, a prefill is handed out whole."""

    keys: Any
    values: Any
    is_sliding = False  # the engine's masks cut windows; storage is the same for every layer

    def __init__(self, view: _View) -> None:
        super().__init__()
        self.view = view
        self.prefix: tuple[Tensor, Tensor] | None = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocates zeros: a masked position weighs 0, and 0 times uninitialised memory may be NaN."""
        slots, capacity = self.view.num_slots, self.view.capacity
        self.keys = key_states.new_zeros(slots, key_states.shape[1], capacity, key_states.shape[3])
        self.values = value_states.new_zeros(slots, value_states.shape[1], capacity, value_states.shape[3])
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Takes new keys and values [R,H,T,D] and gives those to attend to."""
        view = self.view
        if view.prefill:
            self.prefix = (key_states, value_states)
            return key_states, value_states
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, heads, _, _ = key_states.shape
        index = view.flat_index(heads)
        for store, new in ((self.keys, key_states), (self.values, value_states)):
            store.view(-1, store.shape[3]).index_copy_(0, index, new.reshape(rows * heads, -1))
        return self.keys[:rows, :, : view.width], self.values[:rows, :, : view.width]

    def load(self, prefix: tuple[Tensor, Tensor], prefix_rows: Tensor, start: int) -> None:
        """Copies rows of a prefix into the slots from `start` on."""
        if not self.is_initialized:
            self.lazy_initialization(*prefix)
        length = min(prefix[0].shape[2], self.view.capacity)
        for store, new in zip((self.keys, self.values), prefix, strict=True):
            store[start : start + len(prefix_rows), :, :length] = new[:, :, :length].index_select(0, prefix_rows)

    def move(self, source: Tensor, target: Tensor, width: int) -> None:
        """Copies the first `width` positions of slots `source` to slots `target`."""
        for store in (self.keys, self.values):
            store[target, :, :width] = store[source, :, :width]

    def grow(self) -> None:
        """Takes on the view's capacity, keeping what is stored."""
        if self.is_initialized:
            old = self.keys, self.values
            self.lazy_initialization(*old)
            for store, kept in zip((self.keys, self.values), old, strict=True):
                store[: kept.shape[0], :, : kept.shape[2]] = kept

    def release(self) -> None:
        """Frees the storage."""
        self.keys = self.values = self.prefix = None
        self.is_initialized = False

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Gives how many positions attention reads, and the first; the engine brings its own masks."""
        return (query_length if self.view.prefill else self.view.width), 0

    def get_seq_length(self) -> int:
        """Gives 0: slots differ in length, and the engine brings its own position ids."""
        return 0

    def get_max_length(self) -> int:
        """Gives -1, no maximum: the storage grows."""
        return -1

    get_max_cache_shape = get_max_length  # its name up to transformers 5.20


Prefix = list[tuple[Tensor, Tensor]]
"""Keys and values of some prompts [P,H,T,D], for each layer."""


class SlotCache:
    """All layers' slots. Completions in flight lie in slots [0, n); the storage grows to what is needed."""

    def __init__(self, num_layers: int, *, num_slots: int, max_length: int) -> None:
        self._view = _View()
        self._layers = [SlotLayer(self._view) for _ in range(num_layers)]
        self._max_slots = num_slots
        self._max_width = round_up(max_length, WIDTH_STEP)
        self.past_key_values: Any = Cache(layers=self._layers)

    def width_for(self, length: int, head_size: int) -> int:
        """Gives the width at which `length` positions are read."""
        return round_up(max(length, _SMALL_MATMUL // head_size), WIDTH_STEP)

    def reserve(self, slots: int, width: int) -> None:
        """Makes room for `slots` slots of `width` positions; grows by doubling."""
        view = self._view
        if slots <= view.num_slots and width <= view.capacity:
            return
        if slots > view.num_slots:
            view.num_slots = max(slots, min(2 * view.num_slots, self._max_slots))
        if width > view.capacity:
            view.capacity = max(width, min(2 * view.capacity, self._max_width))
        for layer in self._layers:
            layer.grow()

    def begin_prefill(self) -> None:
        """Makes the next forward pass a prefill."""
        self._view.prefill = True

    def take_prefix(self) -> Prefix:
        """Gives the keys and values that the prefill made."""
        prefix: Prefix = []
        for layer in self._layers:
            assert layer.prefix is not None
            prefix.append(layer.prefix)
            layer.prefix = None
        return prefix

    def begin_decode(self, positions: Tensor, width: int) -> None:
        """Makes the next forward pass a decode of slots [0, R), writing at `positions` [R], reading `width`."""
        self.reserve(len(positions), width)
        self._view.decode(positions, width)

    def load(self, prefix: Prefix, prefix_rows: Tensor, start: int) -> None:
        """Copies rows of a prefix into the slots from `start` on."""
        self.reserve(start + len(prefix_rows), min(prefix[0][0].shape[2], self._max_width))
        for layer, part in zip(self._layers, prefix, strict=True):
            layer.load(part, prefix_rows, start)

    def move(self, source: Tensor, target: Tensor, width: int) -> None:
        """Copies slots `source` to slots `target`."""
        for layer in self._layers:
            layer.move(source, target, width)

    def release(self) -> None:
        """Frees all storage; it comes back on demand."""
        self._view.num_slots = self._view.capacity = 0
        for layer in self._layers:
            layer.release()
