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


def counted(places: Sequence[str | int], unit: str = "row") -> str:
    """Where one fault stands: `row 4`, or of several places their number and the first three: `148 rows (2, 3, 4, …)`.

    `unit` is what the places are, in the singular.
    """
    if len(places) == 1:
        return f"{unit} {places[0]}"
    first = ", ".join(str(place) for place in places[:3])
    return f"{len(places)} {unit}s ({first}{', …' if len(places) > 3 else ''})"
