"""A page of charts with a few sentences, self-contained, in the style of the report."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from rlvr.runs.page.figures import Chart, draw


def sheet(
    title: str,
    *,
    about: str,
    sentences: Sequence[str],
    legend: Sequence[str],
    charts: Sequence[Chart],
    note: str,
    key: str,
) -> str:
    """Gives the page as HTML. `about` stands over the title, `legend` names the lines, `key` begins the charts' ids."""
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    panels = "\n".join(
        f'<div class="panel"><p class="title">{escape(chart.title)}</p>{draw(chart, key=f"{key}-{number}")}</div>'
        for number, chart in enumerate(charts)
    )
    words = "\n".join(f"<p>{escape(line)}</p>" for line in sentences)
    keys = "".join(f'<span class="key key-{i}">{escape(line)}</span>' for i, line in enumerate(legend, start=1))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{escape(about)} – rlvr</title>
<style>
{style}
</style>
</head>
<body>
<header><p class="eyebrow">rlvr · {escape(about)}</p><h1>{escape(title)}</h1>
<div class="lede">{words}</div></header>
<main><section>
<p class="legend">{keys}</p>
<div class="panels">
{panels}
</div>
<p class="note">{escape(note)}</p>
</section></main>
</body>
</html>
"""
