"""The exact sweep: the graph is walked once a pass, and at each item only what follows it runs again.

Coarse to fine: a pass scores all items on some samples, so the table is complete after the first, short one, and its
intervals shrink with each that follows. Within a pass items come in the order of the graph. Stopping keeps what is there.

* one-on: the base is the float model, a change switches one item on;
* one-off: the base has everything on (once per precision), a change switches one item off;
both read at the model's output, against the float model.
"""

from __future__ import annotations

from collections.abc import Callable

import onnxruntime as ort

from engine.analysis.sensitivity.budget import Budget, Kept, Plan, plan, samples_a_run, staying
from engine.analysis.sensitivity.candidates import Candidate, Wants, branches
from engine.analysis.sensitivity.kinds import Item, Question
from engine.analysis.sensitivity.sweep_pass import Pass, Score, Ticker, Tools, known
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset
from engine.progress import Progress, silent
from engine.sim.allocator import give_back
from engine.sim.calibration import fixed_batch
from engine.sim.chain import Chain
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.tails import Places, Suffix, Tail

BATCH = 2  # samples a run on convolutional nets
GIVE_BACK = 16 << 20  # bytes of weights


class Sweep:
    """An exact sweep over items and precisions.

    Args:
        quantizations: one for each precision of the question, everything on.
        score: per-sample parts from (float output, output, numbers of the samples), each along the first axis:
            name → array of [n] or [n, 2].
        batch: samples a run that a trial of the float model liked best; the plan has the number for the sweep.
    """

    def __init__(
        self,
        chain: Chain,
        question: Question,
        items: tuple[Item, ...],
        quantizations: list[Quantization],
        score: Score,
        batch: int = BATCH,
        budget: Budget = Budget(),  # noqa: B008 (frozen)
    ) -> None:
        self.chain, self.question, self.items = chain, question, items
        self.score, self.budget = score, budget
        self.branches = branches(question.mode, items, quantizations)
        self._batch = None if fixed_batch(chain) else batch
        self._plan: Plan | None = None
        self._made, self._released = 0, False

    @property
    def plan(self) -> Plan:
        """How the sweep keeps to its budget; the first call finds where each change leaves its base."""
        if self._plan is None:
            places = Places(self.chain)
            kept = [branch.place(self.chain, places).kept for branch in self.branches]
            sessions = [s for branch in self.branches for s in branch.sessions()]
            stay = staying([s.bytes for s in sessions], self.budget.stay)
            for i, session in enumerate(sessions):
                session.stays = i in stay
            most = Kept(*(max(sizes) for sizes in zip(*((k.whole, k.segment, k.cuts) for k in kept), strict=True)))
            batch = 1 if self._batch is None else samples_a_run(self._batch, most.whole)
            self._plan = plan(self.budget, most, len(stay) == len(sessions), batch)
        return self._plan

    def prepare(self) -> None:
        """Makes all sessions that stay now; else each is made when it is first needed."""
        assert self.plan
        for session in (s for branch in self.branches for s in branch.sessions() if s.stays):
            self.make(session)

    def make(self, session: Tail | Suffix) -> None:
        """Makes a session and now and then gives back what making them left: as much again as they hold."""
        self._made += session.make()
        if self._made > GIVE_BACK:
            give_back()
            self._made = 0

    def run(
        self,
        data: Dataset,
        table: Table,
        start: int,
        stop: int,
        progress: Progress = silent,
        wants: Wants = lambda item, precision: True,
        after: Callable[[], None] | None = None,
    ) -> None:
        """Scores samples `start`..`stop` into the table, all wanted cells pass by pass; `after` is called as scores come in."""
        if not any(self._jobs(table, start, stop, wants)):
            table.samples = max(table.samples, stop)
            return
        progress(0.0, "Preparing the sweep")
        self._release(data, start)
        tools = Tools(self.chain, self.items, self.score, self.plan, self.budget.group, self.make, after or (lambda: None))
        for first, last in self.plan.passes(start, stop):
            jobs = self._jobs(table, first, last, wants)
            if any(jobs):
                ticker = Ticker(progress, (first - start) / (stop - start), (last - first) / (stop - start))
                Pass(tools, data, table, first, last, ticker).run(list(zip(self.branches, jobs, strict=True)))
            table.samples = max(table.samples, last)
            tools.after()

    def _release(self, data: Dataset, sample: int) -> None:
        """Gives back what earlier jobs left in the arena, by one run of the float model on one sample."""
        if not self._released:
            values = {n: ort.OrtValue.ortvalue_from_numpy(a) for n, a in data.batch(sample, sample + 1).items()}
            for session, _ in self.chain.line(FLOAT, frozenset(self.chain.output_names)):
                if session is not None:
                    values.update(session.run(values, shrink=True))
            give_back()
            self._released = True

    def _jobs(self, table: Table, first: int, last: int, wants: Wants) -> list[list[Candidate]]:
        """For each branch the candidates with a wanted cell that lacks a score at one of the samples."""
        return [[c for c in b.candidates if c.wanted(wants) and not known(table, c, first, last)] for b in self.branches]
