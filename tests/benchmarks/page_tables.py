"""Tables of the page of benchmarks."""


def table(rows: list[tuple[str, ...]]) -> str:
    """Markdown; the first row is the head."""
    head, *body = rows
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ("---",) * len(head), *body)) + "\n"
