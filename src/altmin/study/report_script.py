"""How a page over runs looks, and what it does where somebody points at a chart."""

STYLE = """
td, th { white-space: nowrap; padding: 0 .5rem; } p { overflow-wrap: anywhere; }
td:first-child, th:first-child { position: sticky; left: 0; background: #fff; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: .5rem 1.5rem; }
figure { margin: 0; break-inside: avoid; } figcaption { font-size: 13px; overflow-wrap: anywhere; }
svg { width: 100%; max-width: 32rem; display: block; touch-action: pan-y; }
svg text { font: 10.5px system-ui, sans-serif; } svg .tick { fill: #555; }
svg .grid { stroke: #e4e4e4; } svg .axis { stroke: #999; } svg .line { fill: none; stroke-width: 1.6; }
.values { font-size: 12px; min-height: 1.5em; color: #444; overflow-wrap: anywhere; }
pre { font-size: 12px; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print { body { max-width: none; margin: 0; font-size: 11px; } .values, details { display: none; }
  .charts { grid-template-columns: repeat(3, 1fr); } table { font-size: 8px; } td, th { padding: 0 .3rem; } }
"""
SCRIPT = """
for (const svg of document.querySelectorAll('svg')) {
  const out = svg.nextElementSibling, lines = [...svg.querySelectorAll('.line')].map(line => ({
    name: line.dataset.name, x: line.dataset.x.split(',').map(Number), y: line.dataset.y.split(','),
    spread: (line.dataset.spread || '').split(',')}));
  const xs = lines.flatMap(line => line.x), low = Math.min(...xs), high = Math.max(...xs);
  const mark = svg.appendChild(document.createElementNS('http://www.w3.org/2000/svg', 'path'));
  mark.setAttribute('class', 'axis');
  svg.addEventListener('pointermove', event => {
    const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
    const left = +svg.dataset.left, right = +svg.dataset.right;
    const place = (event.clientX - box.left) / box.width * view.width;
    const at = low + (high - low) * (place - left) / (right - left);
    const nearest = line => line.x.reduce((best, x, i) => Math.abs(x - at) < Math.abs(line.x[best] - at) ? i : best, 0);
    const found = lines.map(line => [line, nearest(line)]), x = found[0][0].x[found[0][1]];
    const share = high > low ? (x - low) / (high - low) : 0.5;
    mark.setAttribute('d', `M${left + (right - left) * share} 8V${view.height - 30}`);
    out.textContent = `iteration ${x}: ` + found.map(([line, i]) =>
      `${line.name} ${line.y[i] || '-'}${line.spread[i] ? ' ± ' + line.spread[i] : ''}`).join(', ');
  });
}
"""
