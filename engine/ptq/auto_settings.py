"""The settings of `auto`."""
from __future__ import annotations

from dataclasses import dataclass

from engine.errors import BadInput
from engine.ptq.technique import available, check_settings, setting


@dataclass(frozen=True)
class Auto:
    """Settings of `auto`."""

    goal: float = setting(1.0, "Stop once at most this many percent of the samples kept aside get another class than in float.", 0.0, 100.0)
    goal_db: float = setting(20.0, "Without class scores, or with too few samples to tell: stop at this SQNR in dB; higher is stricter.",
                             0.0, 200.0)
    seconds: float = setting(0.0, "Try nothing new after so many seconds; 0 sets no limit. With a limit the machine's speed decides: "
                                  "write the result as lines to have it again.", 0.0, 1e6)
    allow: str = setting("all", "Steps that may be tried, separated by commas; all tries every one.")
    aside: float = setting(0.25, "Share of the calibration samples that are kept aside to judge by.", 0.05, 0.5)
    most_aside: int = setting(512, "Samples kept aside at most.", 16, 100_000)
    seed: int = setting(0, "Draws the samples kept aside.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        check_settings(self)
        unknown = [name for name in self.allowed if name not in available()] if self.allow != "all" else []
        if unknown or not self.allowed:
            raise BadInput(f"auto.allow is {self.allow!r}: expected all, or some of {', '.join(n for n in available() if n != 'auto')}")

    @property
    def allowed(self) -> tuple[str, ...]:
        """The names of the steps that may be tried."""
        if self.allow == "all":
            return tuple(name for name in available() if name != "auto")
        return tuple(name.strip() for name in self.allow.split(",") if name.strip() and name.strip() != "auto")
