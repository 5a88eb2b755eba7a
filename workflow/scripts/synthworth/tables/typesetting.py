"""One display frame as CSV, Markdown, LaTeX and HTML: escaping, alignment and groups of rows."""

import re
from html import escape
from pathlib import Path

import pandas as pd

from synthworth.files import replacing

LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "%": r"\%",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        # A row that begins with [ or * would be read as an option of the row break before it.
        "[": "{[}",
        "]": "{]}",
        "*": "{*}",
        "±": r"$\pm$",
        "×": r"$\times$",
        "−": "$-$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "↓": r"$\downarrow$",
        "↑": r"$\uparrow$",
        "→": r"$\rightarrow$",
        "–": "--",
        "—": "---",
        "\n": " ",
    }
)
MARKDOWN = str.maketrans(
    {**{mark: f"\\{mark}" for mark in "\\`*_[]|~"}, "<": "&lt;", ">": "&gt;", "&": "&amp;", "\n": " "}
)
# A hyphen before a number that does not follow a word: a minus sign (the one of "COVID-19" and "18-89" is none).
MINUS = re.compile(r"(?<!\w)-(?=\.?\d)")
NUMBER = re.compile(r"[+-]?\.?\d")


def escape_latex(text: str) -> str:
    """Text that LaTeX sets as it reads, outside math mode; minus signs become real ones."""
    return MINUS.sub("−", text).translate(LATEX)


def escape_markdown(text: str) -> str:
    """Text that Markdown sets as it reads, also within a cell of a table."""
    return text.translate(MARKDOWN)


def write_table(
    frame: pd.DataFrame,
    csv: str | Path,
    markdown: str | Path,
    latex: str | Path,
    html: str | Path,
    caption: str,
    note: str,
    group: str | None = None,
) -> None:
    """Writes one table four times; the LaTeX one needs the package booktabs and is labelled `tab:<file stem>`.

    `frame` is a display frame: text and whole numbers, as they are to be read, missing values as blanks; its index is
    not written. `group` names the first column where that holds the name of a group of rows: repeats of it are
    left blank, and a rule separates the groups (LaTeX). The CSV is the bare frame, so that any reader takes it;
    caption and note (which study, which protocol) stand in the others. The HTML is a fragment for a page.
    """
    cells = frame.map(lambda value: "" if pd.isna(value) else str(value))
    pages = {
        csv: cells.to_csv(index=False, lineterminator="\n"),
        markdown: to_markdown(cells, caption, note, group),
        latex: to_latex(cells, caption, note, f"tab:{Path(latex).stem}", group),
        html: to_html(cells, caption, note, group),
    }
    for path, page in pages.items():
        with replacing(path) as temporary:
            temporary.write_text(page, encoding="utf-8")


def to_markdown(frame: pd.DataFrame, caption: str, note: str, group: str | None = None) -> str:
    """A frame of text as a pipe table (GitHub's Markdown) under its caption and above its note."""
    rows = [row for _, row in _rows(frame, group)]
    rules = ["---:" if right else ":---" for right in _right_aligned(frame)]
    header = [escape_markdown(str(name)) for name in frame.columns]
    body = [[escape_markdown(cell) for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in [header, rules, *body]]
    return "\n".join([f"**{escape_markdown(caption)}**", "", *lines, "", f"*{escape_markdown(note)}*", ""])


def to_latex(frame: pd.DataFrame, caption: str, note: str, label: str, group: str | None = None) -> str:
    """A frame of text as a floating table with booktabs rules, its note below in small print."""
    alignment = "".join("r" if right else "l" for right in _right_aligned(frame))
    body = []
    for starts_group, row in _rows(frame, group):
        if starts_group and body:
            body.append(r"\midrule")
        body.append(_latex_row(row))
    lines = [
        "% Needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        r"\small",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        _latex_row([str(name) for name in frame.columns]),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        "",
        rf"\smallskip\footnotesize {escape_latex(note)}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def to_html(frame: pd.DataFrame, caption: str, note: str, group: str | None = None) -> str:
    """A frame of text as an HTML fragment: a table with its caption, and its note below."""
    kinds = [' class="number"' if right else "" for right in _right_aligned(frame)]
    head = "".join(f"<th{kind}>{escape(str(name))}</th>" for kind, name in zip(kinds, frame.columns, strict=True))
    body = [
        ('<tr class="group">' if starts_group else "<tr>")
        # What a cell lists stands line by line: one long line would hide the columns beside it.
        + "".join(
            f"<td{kind}>{';<br/>'.join(map(escape, cell.split('; ')))}</td>"
            for kind, cell in zip(kinds, row, strict=True)
        )
        + "</tr>"
        for starts_group, row in _rows(frame, group)
    ]
    lines = [
        '<div class="scroll">',
        f"<table><caption>{escape(caption)}</caption>",
        f"<thead><tr>{head}</tr></thead>",
        "<tbody>",
        *body,
        "</tbody></table>",
        f'<p class="note">{escape(note)}</p>',
        "</div>",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: list[str]) -> str:
    return " & ".join(escape_latex(cell) for cell in cells) + r" \\"


def _right_aligned(frame: pd.DataFrame) -> list[bool]:
    """For each column, whether all that stands in it are numbers; the first column names the rows, so never."""
    columns = [[cell for cell in frame.iloc[:, place] if cell] for place in range(frame.shape[1])]
    return [
        place > 0 and bool(column) and all(NUMBER.match(cell) for cell in column)
        for place, column in enumerate(columns)
    ]


def _rows(frame: pd.DataFrame, group: str | None) -> list[tuple[bool, list[str]]]:
    """Each row's cells and whether it starts a group; the group's name stays in its first row only."""
    rows, previous = [], None
    for row in frame.itertuples(index=False, name=None):
        cells = list(row)
        starts = group is not None and cells[0] != previous
        if group is not None:
            previous = cells[0]
            cells[0] = cells[0] if starts else ""
        rows.append((starts, cells))
    return rows
