"""The trainings that exhibits need at a scale; those that a folder holds already are not made again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from altmin.data import Dataset
from altmin.exhibits.exhibit import Arm, Exhibit, title
from altmin.exhibits.outcomes import Outcome, Outcomes
from altmin.exhibits.processes import StudyProgress, Task, Workshop
from altmin.exhibits.setting import Setting
from altmin.exhibits.store import Store
from altmin.exhibits.training import check


@dataclass(frozen=True)
class Study:
    """Exhibits at a scale.

    Attributes:
        exhibits: Which.
        scale: ``smoke``, ``desk`` or ``paper``.
        seeds: How many starts each; `None` for the scale's own number.
        store: Where outcomes are.
        workshop: Where trainings are made.
        panels: The panels of the exhibits that are made; none named: all.

    Raises:
        UnknownNameError: An exhibit has no panel of a name in `panels`.
    """

    exhibits: Sequence[Exhibit]
    scale: str
    seeds: int | None
    store: Store
    workshop: Workshop = field(default_factory=Workshop)
    panels: Sequence[str] = ()

    def __post_init__(self) -> None:
        for exhibit, panel in product(self.exhibits, self.panels):
            exhibit.setting(panel)

    def settings_of(self, exhibit: Exhibit) -> dict[tuple[str, Arm], Setting]:
        """What is trained for an exhibit, by panel and arm."""
        every = exhibit.settings(self.scale)
        return {key: setting for key, setting in every.items() if not self.panels or key[0] in self.panels}

    def seeds_of(self, exhibit: Exhibit) -> range:
        """The seeds of an exhibit's trainings."""
        return range(self.seeds or exhibit.scale(self.scale).seeds)

    def data_sets(self) -> set[str]:
        """The data sets that are needed."""
        settings = [setting for exhibit in self.exhibits for setting in self.settings_of(exhibit).values()]
        return {name for setting in settings for name in (setting.data, setting.validated) if name is not None}

    def check(self, name: str, data: Dataset) -> None:
        """Raise what any of the trainings on a data set would, before one of them is made.

        Args:
            name: Of the data set.
            data: Its samples, for their shapes.

        Raises:
            ValueError: A setting that cannot be trained; the message names exhibit, panel and arm.
        """
        for exhibit in self.exhibits:
            for (panel, arm), setting in self.settings_of(exhibit).items():
                for one in (setting, *setting.on_trial()):
                    try:
                        if one.data == name:
                            check(one, data)
                    except (TypeError, ValueError) as error:
                        raise ValueError(f"{exhibit.name}, {panel}, {title(arm)}: {error}") from error

    def run(self, report: Callable[[StudyProgress], object]) -> list[str]:
        """Make all trainings that are not there; what failed, in words.

        Raises:
            OSError: An outcome cannot be written; those before are kept.
            KilledError: A process that trains was killed; finished trainings are kept.
            KeyboardInterrupt: Somebody wants the end; finished trainings are kept.
        """
        failed = self._make(self._trials(), report)
        return failed + self._make(self._finals(), report)

    def outcomes(self, exhibit: Exhibit) -> Outcomes | None:
        """What became of an exhibit's trainings; `None` where one is missing."""
        found: dict[tuple[str, Arm], list[Outcome]] = {}
        chosen = {}
        for key, setting in self.settings_of(exhibit).items():
            final = self._resolved(setting)
            each = [] if final is None else [self.store.get(final, seed) for seed in self.seeds_of(exhibit)]
            if final is None or None in each:
                return None
            found[key] = [outcome for outcome in each if outcome is not None]
            if setting.trials:
                chosen[key] = final.method
        left_out = [panel for panel in exhibit.panels if self.panels and panel not in self.panels]
        return Outcomes(exhibit.columns, found, chosen, left_out)

    def _trials(self) -> Iterable[Task]:
        for exhibit in self.exhibits:
            for (panel, arm), setting in self.settings_of(exhibit).items():
                for i, trial in enumerate(setting.on_trial()):
                    yield Task(trial, 0, f"{exhibit.name}, {panel}, {title(arm)}, trial {i + 1}")

    def _finals(self) -> Iterable[Task]:
        for exhibit in self.exhibits:
            for (panel, arm), setting in self.settings_of(exhibit).items():
                final = self._resolved(setting)
                for seed in self.seeds_of(exhibit) if final is not None else ():
                    yield Task(final, seed, f"{exhibit.name}, {panel}, {title(arm)}, seed {seed}")  # type: ignore[arg-type]

    def _resolved(self, setting: Setting) -> Setting | None:
        """The setting with the method that was best on validation; `None` where a trial is missing."""
        trials = setting.on_trial()
        if not trials:
            return setting
        outcomes = [self.store.get(trial, 0) for trial in trials]
        if None in outcomes:
            return None
        merits = [_merit(outcome) for outcome in outcomes if outcome is not None]
        return replace(setting, method=setting.trials[merits.index(max(merits))], trials=(), validated=None)

    def _make(self, tasks: Iterable[Task], report: Callable[[StudyProgress], object]) -> list[str]:
        """Train what is not there, the long ones first, so that none of them is left alone in the end."""
        wanted = {task.setting.digest(task.seed): task for task in tasks}
        missing = [task for task in wanted.values() if self.store.get(task.setting, task.seed) is None]
        return self.workshop.make(sorted(missing, key=lambda task: task.size, reverse=True), self.store, report)


def _merit(outcome: Outcome) -> float:
    """How good a trial is: its last accuracy on validation."""
    values = outcome.curve("validation_accuracy")
    return -1.0 if outcome.diverged or not values or math.isnan(values[-1]) else values[-1]
