"""The sentence that RichHF's decoder writes, as tokens: a prompt's words, some of them marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from beholder.errors import DataError
from beholder.rewards._richhf.tokens import Spelling

Choice = tuple[set[int], set[int] | None]
"""Tokens that say that a word is marked, and those that say that it is not; None is all others."""

Question = tuple[int, Choice]
"""Which of the choice's tokens comes at this place of a sentence?"""


@dataclass(frozen=True, slots=True)
class Sentence:
    """The words of a prompt, and the token behind the last one."""

    words: Sequence[Spelling]
    end: int

    def written(self, marks: Sequence[bool]) -> list[int]:
        """The tokens with those words marked, the end included.

        Raises DataError if there is not one mark for each word.
        """
        if len(marks) != len(self.words):
            raise DataError(f"a prompt of {len(self.words)} words has labels of {len(marks)}")
        pairs = zip(self.words, marks, strict=True)
        return [*(token for word, is_marked in pairs for token in word.form(is_marked)), self.end]

    def places(self, marks: Sequence[bool]) -> list[int]:
        """Where in `written` the tokens of each word part from those of its other form."""
        places, start = [], 0
        for word, is_marked in zip(self.words, marks, strict=True):
            places.append(start + word.shared)
            start += len(word.form(is_marked))
        return places

    def choices(self) -> list[Choice]:
        """What can come at each word's place.

        A word whose plain form is the start of the marked one is told to be plain by whatever else
        comes than the mark: what the decoder expects next may be another word than the prompt's.
        Only where the mark's token also starts what follows, those starts alone tell it.
        """
        found: list[Choice] = []
        after = {self.end}
        for word in reversed(self.words):
            shared = word.shared
            marked, plain = (_at(form, shared, after) for form in (word.marked, word.plain))
            is_anything = shared == len(word.plain) and marked.isdisjoint(after)
            found.append((marked, None if is_anything else plain))
            after = _at(word.marked, 0, after) | _at(word.plain, 0, after)
        return found[::-1]

    def questions(self, marks: Sequence[bool]) -> list[Question]:
        """One a word, in a sentence with those words marked."""
        return list(zip(self.places(marks), self.choices(), strict=True))


@dataclass(slots=True)
class Walk:
    """Decisions about the words of one sentence, made window by window.

    Attributes:
        marks: final for the first `settled` words, guessed for the others.
        logits: of each settled word to be marked.
        known: tokens of the sentence that are final; they end before the next open question.
    """

    sentence: Sentence
    marks: list[bool] = field(init=False)
    logits: list[float] = field(init=False)
    settled: int = 0
    known: int = 0
    _choices: list[Choice] = field(init=False)

    def __post_init__(self) -> None:
        self.marks = [False] * len(self.sentence.words)
        self.logits = [0.0] * len(self.sentence.words)
        self._choices = self.sentence.choices()

    @property
    def is_over(self) -> bool:
        """Whether every word is settled."""
        return self.settled == len(self.marks)

    def questions(self, end: int) -> list[Question]:
        """About the unsettled words whose places lie before `end`."""
        places = self.sentence.places(self.marks)[self.settled :]
        open_choices = self._choices[self.settled :]
        return [asked for asked in zip(places, open_choices, strict=True) if asked[0] < end]

    def decide(self, logits: Sequence[float], end: int) -> None:
        """Take the answers to `questions(end)`.

        Those behind the first wrong guess followed a wrong word, and are but better guesses.
        """
        places = [place for place, _ in self.questions(end)]
        asked = slice(self.settled, self.settled + len(places))
        decided = [logit > 0 for logit in logits]
        guesses = zip(self.marks[asked], decided, strict=True)
        wrong = next((n for n, (was, now) in enumerate(guesses) if was != now), None)
        self.marks[asked], self.logits[asked] = decided, logits
        self.settled += len(places) if wrong is None else wrong + 1
        upcoming = self.sentence.places(self.marks)[self.settled : self.settled + 1]
        final = end if wrong is None else places[wrong] + 1
        self.known = min(final, *upcoming) if upcoming else end


def _at(form: Sequence[int], place: int, after: set[int]) -> set[int]:
    return {form[place]} if place < len(form) else after
