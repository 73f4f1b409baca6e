"""Which utterances of a corpus are wanted: globs over paths, speakers and groups, the same for every corpus."""

import fnmatch
import re
from collections.abc import Iterator
from typing import Protocol

from valle_data.registry import nearest

MAX_NAMES = 2000
"""How many names a filter remembers, to suggest the nearest one; a corpus may have millions."""


class Wanted(Protocol):
    """The part of a corpus' configuration that chooses."""

    @property
    def include(self) -> tuple[str, ...]: ...
    @property
    def exclude(self) -> tuple[str, ...]: ...
    @property
    def include_speakers(self) -> tuple[str, ...]: ...
    @property
    def exclude_speakers(self) -> tuple[str, ...]: ...
    @property
    def include_groups(self) -> tuple[str, ...]: ...
    @property
    def exclude_groups(self) -> tuple[str, ...]: ...


class Globs:
    """The globs of one option. Remembers which of them ever fitted, and the first names that came by."""

    def __init__(self, option: str, globs: tuple[str, ...]) -> None:
        self.option, self.globs = option, globs
        self._patterns = [re.compile(fnmatch.translate(glob)) for glob in globs]
        self._idle = set(range(len(globs)))
        self._names: dict[str, None] = {}

    def fit(self, name: str) -> bool:
        if self._idle:
            fitting = {index for index, pattern in enumerate(self._patterns) if pattern.match(name)}
            self._idle -= fitting
            if len(self._names) < MAX_NAMES:
                self._names[name] = None
            return bool(fitting)
        return any(pattern.match(name) for pattern in self._patterns)

    def idle(self) -> Iterator[str]:
        """A sentence for each glob that fitted nothing."""
        for index in sorted(self._idle):
            glob = self.globs[index]
            yield f"`corpus.{self.option}` has {glob!r}, which fits nothing.{nearest(glob, self._names) or self._examples()}"

    def _examples(self) -> str:
        return f" There are {', '.join(map(repr, list(self._names)[:5]))}." if self._names else ""


class Selection:
    """Include and exclude globs over paths, speakers and groups; what an include names and no exclude does is wanted."""

    def __init__(self, config: Wanted) -> None:
        self._paths = Globs("include", config.include), Globs("exclude", config.exclude)
        self._speakers = Globs("include_speakers", config.include_speakers), Globs("exclude_speakers", config.exclude_speakers)
        self._groups = Globs("include_groups", config.include_groups), Globs("exclude_groups", config.exclude_groups)
        self.has_refused = False

    def admits_path(self, path: str) -> bool:
        return self._ask(self._paths, path)

    def admits(self, speaker: str, group: str) -> bool:
        has_speaker, has_group = self._ask(self._speakers, speaker), self._ask(self._groups, group)
        return has_speaker and has_group

    def _ask(self, options: tuple[Globs, Globs], name: str) -> bool:
        include, exclude = options
        is_included = not include.globs or include.fit(name)
        is_excluded = bool(exclude.globs) and exclude.fit(name)
        if is_included and not is_excluded:
            return True
        self.has_refused = True
        return False

    def fits_nothing(self) -> Iterator[tuple[str, str]]:
        """(option, sentence) for each glob that fitted nothing: most often it is mistyped, and an exclude that does nothing lets everything in."""
        for options in (self._paths, self._speakers, self._groups):
            for option in options:
                for sentence in option.idle():
                    yield f"corpus.{option.option}", sentence + " Correct it or take it out."

    def nothing_left(self) -> str:
        """Why nothing passed."""
        given = [f"`corpus.{option.option}`" for options in (self._paths, self._speakers, self._groups) for option in options if option.globs]
        idle = " ".join(sentence.removesuffix(" Correct it or take it out.") for _, sentence in self.fits_nothing())
        return f"The filters {', '.join(given)} leave nothing of the corpus. {idle or 'What one of them includes another one excludes.'} Correct them."
