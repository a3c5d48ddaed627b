"""Pictures of figures, as SVG that needs nothing to be drawn."""

from __future__ import annotations

import math
from html import escape

from mainspring.compute.scheduling.plans import Plan
from mainspring.domain.units import format_span

_LEFT, _TOP, _WIDE, _HIGH = 60.0, 50.0, 560.0, 260.0
_TICKS_S = (1.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 86_400.0, 7 * 86_400.0)


def draw_waits(plan: Plan) -> str:
    """Return a picture of which part of the runs had started after which wait, today and planned."""
    most_s = max([wait for played in (plan.today, plan.planned) for wait, _ in played.waits] + [60.0])
    parts = [
        f'<line x1="{_x(tick, most_s):.1f}" y1="{_TOP}" x2="{_x(tick, most_s):.1f}" y2="{_TOP + _HIGH}" stroke="#ddd"/>'
        f'<text x="{_x(tick, most_s):.1f}" y="{_TOP + _HIGH + 18}" text-anchor="middle">{format_span(tick)}</text>'
        for tick in _TICKS_S
        if tick <= most_s
    ]
    for part in (0.0, 0.5, 1.0):
        y = _TOP + _HIGH * (1 - part)
        parts.append(f'<line x1="{_LEFT}" y1="{y}" x2="{_LEFT + _WIDE}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{part:.0%}</text>')
    for number, (name, played, ink) in enumerate(
        (("today", plan.today, "#475569"), ("planned", plan.planned, "#c2410c"))
    ):
        points = " ".join(f"{_x(wait, most_s):.1f},{_TOP + _HIGH * (1 - part):.1f}" for wait, part in played.waits)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{ink}" stroke-width="2"/>')
        parts.append(f'<text x="{_LEFT + 90 * number}" y="{_TOP + _HIGH + 40}" fill="{ink}">{name}</text>')
    size = f'width="{_LEFT + _WIDE + 30:.0f}" height="{_TOP + _HIGH + 56:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
        f'<rect {size} fill="#fff"/><text x="{_LEFT}" y="24" font-size="14">{escape(plan.answer)}</text>'
        f"{''.join(parts)}</svg>\n"
    )


def _x(wait_s: float, most_s: float) -> float:
    """Return where a wait stands: logarithmic from a second on."""
    return _LEFT + _WIDE * math.log1p(wait_s) / math.log1p(most_s)
