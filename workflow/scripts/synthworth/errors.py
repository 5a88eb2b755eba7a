"""The one error a user can mend: it names each thing that is wrong and its remedy."""

from collections.abc import Sequence


class StudyError(Exception):
    """The study cannot go on as it is asked for; shown to the user without a traceback.

    `title` says what is wrong as a whole; each of `problems` names one thing (file, row, value, config key) and
    what to do about it. All problems are listed at once.
    """

    def __init__(self, title: str, problems: Sequence[str] = ()) -> None:
        self.title = title
        self.problems = list(problems)
        super().__init__("\n".join([title, *(f"  - {problem}" for problem in self.problems)]))
