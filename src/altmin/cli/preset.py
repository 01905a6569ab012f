"""``--preset EXHIBIT`` of ``train``: what an exhibit of a paper trains, as options over which all others win."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from altmin.cli.kinds import kinds_of
from altmin.cli.network import CHOICES
from altmin.cli.numbers import number_fields
from altmin.cli.screen import complain
from altmin.cli.yaml_file import YamlEntry, normal
from altmin.errors import UnknownNameError, nearest
from altmin.methods import Method
from altmin.methods.registry import METHODS

if TYPE_CHECKING:
    from altmin.exhibits import Setting

FLAG, KEY, ORIGIN = "--preset", "preset", "from_preset"
HELP = (
    "a training of a paper's exhibit, such as ipdlam-table1 (altmin exhibits lists them): METHOD, its numbers, "
    "data, network and lengths, over which options win; EXHIBIT/ARM or EXHIBIT/PANEL/ARM for others than its leading "
    "one. METHOD may be left out, and must be where it has a --preset of its own"
)

NOTE = "the exhibit that options came from, a note for results.json that changes nothing else; --preset makes it"


def add_preset(parser: Any, method: str | None) -> None:
    """The option, for its help: `taken` has done what it says. And the note of the exhibit, which `preset` writes."""
    if method is None or not has_its_own(method):
        parser.add_argument(FLAG, type=str | None, default=None, metavar="EXHIBIT", help=HELP)
    parser.add_argument("--from-preset", type=str | None, default=None, metavar="EXHIBIT", help=NOTE)


def has_its_own(method: str) -> bool:
    """Whether a method has a number of that name, so that behind it ``--preset`` is that."""
    return any(f.name == KEY for f in fields(METHODS[method].method))  # type: ignore[arg-type]


def taken(rest: Sequence[str], entries: dict[str, YamlEntry]) -> tuple[list[str], str | None]:
    """A command line without its ``--preset EXHIBIT``, and the exhibit; where it has none, that of YAML.

    Args:
        rest: The command line.
        entries: What YAML files say, without the preset behind this.

    Raises:
        argparse.ArgumentTypeError: No name, or two of them.
    """
    others, found, texts = [], [], iter(rest)
    for text in texts:
        flag, equals, value = text.partition("=")
        if flag == FLAG:
            found.append(value if equals else next(texts, ""))
        else:
            others.append(text)
    if len(found) > 1:
        raise argparse.ArgumentTypeError(f"{FLAG} stands there {len(found)} times; keep one")
    if any(not name or name.startswith("--") for name in found):
        raise argparse.ArgumentTypeError(f"{FLAG} needs a value: an exhibit, such as ipdlam-table1")
    entry = entries.pop(KEY, None)
    if not found and entry is not None and entry.value is not None:
        if not isinstance(entry.value, str):
            raise entry.error("takes one value, an exhibit such as ipdlam-table1")
        found = [entry.value]
    return others, found[0] if found else None


def preset(name: str, given: set[str]) -> tuple[str, dict[str, YamlEntry]]:
    """The method of an exhibit's training, and the options that make the same training, as YAML would say them.

    Args:
        name: ``EXHIBIT``, ``EXHIBIT/ARM``, ``EXHIBIT/PANEL`` or ``EXHIBIT/PANEL/ARM``.
        given: The options that the user names.

    Raises:
        ValueError: No such exhibit, panel or arm; a training that ``train`` has no words for.
    """
    try:
        setting = _setting(name)
    except UnknownNameError as error:
        raise ValueError(f"{FLAG} {name}: {error}") from None  # which --import cannot cure
    method = _method(name, setting.method)
    _check(name, setting, given)
    values = {**dict(_numbers(setting.method)), **_options(setting, given), ORIGIN: name}
    entries = {key: YamlEntry(f"{FLAG} {name}", key, _text(value)) for key, value in values.items()}
    return method, {normal(key): entry for key, entry in entries.items()}


def given_in(rest: Sequence[str], entries: dict[str, YamlEntry]) -> set[str]:
    """The options that a command line and YAML name."""
    flags = {normal(text.partition("=")[0].removeprefix("--")) for text in rest if text.startswith("--")}
    return flags | set(entries)


def _setting(name: str) -> Setting:
    from altmin import exhibits  # nothing but a preset needs them
    from altmin.exhibits.exhibit import title

    exhibit_name, _, inner = name.partition("/")
    exhibit = exhibits.load(exhibit_name)
    arms = {title(arm): arm for arm in exhibit.arms}
    panel, _, arm = inner.partition("/")
    if not inner:
        return exhibit.setting()
    if inner in arms:
        return exhibit.setting(arm=arms[inner])
    if panel in exhibit.panels and (not arm or arm in arms):
        return exhibit.setting(panel, arms.get(arm))
    known, wanted = (list(arms), arm) if panel in exhibit.panels else ([*exhibit.panels, *arms], inner)
    raise UnknownNameError(f"unknown panel or arm {wanted!r}; {nearest(wanted, known)}")


def _check(name: str, setting: Setting, given: set[str]) -> None:
    """Refuse what options must say in place of the exhibit, and tell what it leaves to chance."""
    if setting.batches is not None and "epochs" not in given:
        raise ValueError(
            f"{FLAG} {name}: the exhibit ends after {setting.batches:,} mini-batches, and train counts epochs; "
            "add --epochs"
        )
    if setting.share < 1 and "train_samples" not in given:
        raise ValueError(
            f"{FLAG} {name}: the exhibit trains on {setting.share:.0%} of the samples, and train counts them; "
            "add --train-samples"
        )
    if setting.trials:
        several = f"the exhibit chooses among {len(setting.trials)} settings by validation"
        complain("note", f"{FLAG} {name}: {several}; this is one of them, see config.yaml for its numbers")


def _method(name: str, method: Method) -> str:
    """The name of a method that its numbers make the exhibit's."""
    own = [e for e in METHODS.values() if not e.of]
    found = [e.name for by_kind in (False, True) for e in own if _within_reach(e.method, method, by_kind)]
    if not found:
        values = {f.name: getattr(method, f.name) for f in fields(method)}  # type: ignore[arg-type]
        parts = ", ".join(f"{key}={type(value).__name__}" for key, value in values.items() if is_dataclass(value))
        ways = f"altmin reproduce {name.partition('/')[0]} trains it, and from Python Exhibit.setting gives it"
        raise ValueError(f"{FLAG} {name}: no METHOD of train is {type(method).__name__}({parts}); {ways}")
    return found[0]


def _within_reach(base: Any, wanted: Any, by_kind: bool) -> bool:
    """Whether other numbers, or also parts of other kinds, make `base` the one that is wanted."""
    if type(base) is not type(wanted):
        return False
    for f in fields(base):
        own, other = getattr(base, f.name), getattr(wanted, f.name)
        if is_dataclass(own):
            known = by_kind and type(other).__name__ in kinds_of(base, f)
            if not known and not _within_reach(own, other, by_kind):
                return False
        elif "help" not in f.metadata and own != other:
            return False
    return True


def _numbers(method: Method) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, _, value, _ in number_fields(method))


def _options(setting: Setting, given: set[str]) -> dict[str, Any]:
    """All but the method, without what goes with a model or with data of the user's own."""
    network = {} if "model" in given else {key: value for key, value in setting.options.items() if key in CHOICES}
    data = {} if any(key.partition(".")[0] == "csv" for key in given) else {"data": setting.data}
    return {
        **data,
        "model": setting.model,
        **network,
        "init": setting.init,
        "loss": setting.loss,
        "regularizer": setting.regularizer or "none",
        "epochs": setting.epochs,
        "batch_size": setting.batch_size,
        "train_samples": setting.train_samples,
        "center": setting.center,
        "record_every": setting.every if setting.batches is None else 1,
        "keep": "last",  # papers print what the last iteration gives
    }


def _text(value: Any) -> str | list[str] | None:
    """A value as YAML has it."""
    if isinstance(value, tuple | list):
        return [str(item) for item in value]
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)
