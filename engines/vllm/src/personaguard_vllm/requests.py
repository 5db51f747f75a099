"""The engine's requests, as far as the plugin follows them."""

from dataclasses import dataclass

from personaguard_vllm.columns import NoRoomError
from personaguard_vllm.endings import Endings
from personaguard_vllm.plan import PLAN, Plan, PlanError, parse
from personaguard_vllm.rows import Span
from personaguard_vllm.states import Sending, States
from personaguard_vllm.steps import New
from personaguard_vllm.store import Store
from personaguard_vllm.table import Table
from personaguard_vllm.vectors import SetError, Vector, VectorSet


@dataclass(frozen=True)
class Tracked:
    """A request with a plan."""

    plan: Plan
    line: int
    """Number of its plan in the buffers."""
    prompt: int
    """Tokens that the engine takes for the prompt."""
    vectors: tuple[Vector, ...]
    columns: tuple[int, ...]
    """Columns of its set's vectors, by slot."""
    set_number: int
    """The set's number; 0 where it names none."""
    end: int | None
    """The token that ends it, if one does at any time."""
    sending: Sending | None
    """Its sums of states, if they are wanted."""

    @property
    def response(self) -> int:
        """Position at which the response begins."""
        return self.prompt if self.plan.prompt is None else self.plan.prompt


class Requests:
    """All of them, by the engine's id."""

    def __init__(
        self, table: Table, store: Store, endings: Endings, states: States | None = None
    ) -> None:
        self.foreign = 0
        """Requests without a plan, since the engine's start: they passed the sidecar by."""
        self.table = table
        self._store = store
        self._endings = endings
        self._states = states
        self._tracked: dict[str, Tracked] = {}
        self._others: set[str] = set()

    def find(self, engine_id: str) -> Tracked | None:
        return self._tracked.get(engine_id)

    def add(self, request: New) -> None:
        """A request that the engine begins to compute, or takes up again after preemption."""
        known = self._tracked.get(request.id)
        if request.id in self._others or (known is not None and known.prompt == request.prompt):
            return
        # A prompt that has grown is that of a session whose input streams in.
        self.remove(request.id)
        text = (request.extra or {}).get(PLAN)
        if text is None:
            self._others.add(request.id)
            self.foreign += 1
            return
        try:
            plan = parse(text)
            number = plan.set_number
            used = VectorSet(0, ()) if number is None else self._store.get(number)
            self.track(request, plan, used)
        except (PlanError, SetError, NoRoomError):
            # Refused before, where the request came in, unless the set has gone since.
            self._others.add(request.id)
            self._endings.add_refused(request.id, request.end)

    def track(self, request: New, plan: Plan, used: VectorSet) -> None:
        """A request with a plan that has been read.

        Raises:
            PlanError: the plan does not fit the set, or the request.
            NoRoomError: running requests use too many vectors, or too many ask for states.
        """
        check(plan, used)
        prompt = request.prompt
        if plan.prompt is not None and plan.prompt >= prompt:
            raise PlanError(f"`prompt` is {plan.prompt}, and the request has {prompt} tokens")
        if plan.states and self._states is None:
            raise PlanError("this engine sums no states")
        columns = self.table.hold(used.vectors)
        sending = None
        try:
            if plan.states and self._states is not None:
                sending = self._states.hold(plan.id, plan.prompt or prompt, prompt)
        except NoRoomError:
            self.table.release(used.vectors)
            raise
        line = self.table.add(plan, used.vectors, columns)
        self._tracked[request.id] = Tracked(
            plan, line, prompt, used.vectors, columns, used.number, request.end, sending
        )

    def remove(self, engine_id: str) -> None:
        """A request that has ended."""
        self._others.discard(engine_id)
        self._endings.discard_refused(engine_id)
        tracked = self._tracked.pop(engine_id, None)
        if tracked is None:
            return
        self._endings.discard(tracked.plan.id)
        if tracked.sending is not None and self._states is not None:
            self._states.release(tracked.sending)
        self.table.remove(tracked.line)
        self.table.release(tracked.vectors)

    def ending(self, engine_id: str) -> int | None:
        """The token that is to be the request's next and last, if it is to end."""
        tracked = self._tracked.get(engine_id)
        if tracked is None:
            return self._endings.refused(engine_id)
        return tracked.end if self._endings.has(tracked.plan.id) else None

    def span(self, engine_id: str, start: int, count: int, first: int) -> Span | None:
        """The rows of a request in a step; `None` if it has no plan."""
        tracked = self._tracked.get(engine_id)
        if tracked is None:
            return None
        plan = tracked.plan
        return Span(
            tracked.line,
            start,
            count,
            first,
            tracked.response,
            plan.changes_prompt,
            bool(plan.changes),
        )


def check(plan: Plan, used: VectorSet) -> None:
    """Whether a plan fits the set that it names.

    Raises:
        PlanError: it names a slot that is not there, or a condition that is known too late.
    """
    vectors = used.vectors
    if any(slot >= len(vectors) for slot in plan.slots()):
        raise PlanError(f"a slot is not in the set, which has {len(vectors)}")
    for change in plan.changes:
        gate = change.gate
        if gate is not None and vectors[gate.slot].layer > vectors[change.slot].layer:
            raise PlanError("a condition is read at a layer above the one that it changes")
