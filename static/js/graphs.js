// Draws the graphs of an instance anew, with a cursor that tells what stood at a time, and keeps them fresh. Without it
// the page has the server's simpler ones, and the same figures in tables.
const { uPlot } = window;
const { lang } = document.documentElement;
const HEIGHT = 190;
const MINUTE = 60_000;

const decimals = (value, most) => +value.toFixed(most);
function scaled(value, size, units) {
  let unit = 0;
  for (; value >= size && unit < units.length - 1; unit += 1) value /= size;
  return `${decimals(value, 1)} ${units[unit]}`;
}
/** As the server writes them in the tables. */
const WRITE = {
  millicpu: (value) => `${decimals(value / 1000, 2)} vCPU`,
  mib: (value) => scaled(Math.round(value), 1024, ["MiB", "GiB", "TiB"]),
  bytes_per_second: (value) => scaled(Math.round(value), 1000, ["B/s", "kB/s", "MB/s", "GB/s"]),
  operations_per_second: (value) => `${decimals(value, 1).toLocaleString("en")} IOPS`,
  packets_per_second: (value) => `${decimals(value, 1).toLocaleString("en")}/s`,
  kbit_per_second: (value) => scaled(Math.round(value), 1000, ["kbit/s", "Mbit/s", "Gbit/s"]),
};
const POWERS_OF_TWO = Array.from({ length: 30 }, (_, power) => 2 ** power);

const clock = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(lang, { month: "short", day: "numeric" });
const moment = new Intl.DateTimeFormat(lang, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const writeTime = (format, seconds) => format.format(new Date(seconds * 1000));

const plots = new Set();
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const { clientWidth: width } = target;
    if (width && target.plot?.width !== width) target.plot?.setSize({ width, height: HEIGHT });
  }
});

/** A value between two gaps has no line; it gets a point. */
const lonely = (plot, series) => {
  const values = plot.data[series];
  return values.flatMap((value, at) => (value != null && values[at - 1] == null && values[at + 1] == null ? [at] : []));
};

function draw(figure, { step, timestamps }, graph) {
  const box = figure.querySelector(".graph-plot");
  const head = figure.querySelector("th[data-at]");
  const keys = [...figure.querySelectorAll(".graph-key path")];
  const cells = [...figure.querySelectorAll("td[data-value]")];
  const write = WRITE[graph.unit];
  // Colours and dashes are those of the server's drawing, which the style sheet gives them in each look.
  const style = (element, name) => () => getComputedStyle(element)[name];
  const dashes = (element) => getComputedStyle(element).strokeDasharray.match(/[\d.]+/g)?.map(Number) ?? [];
  const part = (name) => figure.querySelector(`.${name}`);
  const font = `11px ${getComputedStyle(figure).fontFamily}`;
  const axis = { stroke: style(part("hint"), "color"), font, ticks: { show: false }, grid: { stroke: style(part("graph-grid"), "stroke"), width: 1 } };
  const isDays = timestamps.length * step > 2 * 86_400;

  const drawLimits = ({ ctx, bbox, valToPos }) => {
    for (const [kind, amount] of graph.marks) {
      const mark = part(`graph-${kind}`);
      const y = Math.round(valToPos(amount, "y", true));
      ctx.save();
      ctx.strokeStyle = getComputedStyle(mark).stroke;
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash(dashes(mark).map((length) => length * devicePixelRatio));
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.restore();
    }
  };
  // The last column follows the cursor.
  const tell = ({ cursor: { idx }, data }) => {
    const label = idx == null ? head.dataset.at : writeTime(isDays ? moment : clock, timestamps[idx]);
    head.textContent = label;
    cells.forEach((cell, line) => {
      const value = data[line + 1][idx];
      cell.textContent = idx == null ? cell.dataset.value : value == null ? "—" : write(value);
      cell.dataset.label = label;
    });
  };

  box.plot = new uPlot(
    {
      width: box.clientWidth,
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "graphs" } },
      scales: { x: { range: [timestamps[0], timestamps.at(-1) + step] }, y: { range: [0, graph.top] } },
      axes: [
        { ...axis, size: 28, space: 64, values: (_, splits) => splits.map((at) => writeTime(isDays ? day : clock, at)) },
        {
          ...axis,
          size: 74,
          space: 36,
          ...(graph.unit === "mib" && { incrs: POWERS_OF_TWO }),
          values: (_, splits) => splits.map(write),
        },
      ],
      series: [
        {},
        ...graph.lines.map((_, index) => ({
          stroke: style(keys[index], "stroke"),
          width: 1.75,
          dash: dashes(keys[index]),
          fill: index === 0 ? style(part("graph-area"), "fill") : undefined,
          points: { show: true, size: 4, filter: lonely },
        })),
      ],
      hooks: { drawAxes: [drawLimits], setCursor: [tell] },
    },
    [timestamps, ...graph.lines],
    box,
  );
  plots.add(box.plot);
  resized.observe(box);
}

function show() {
  const source = document.getElementById("graphs-drawing");
  if (!source || !uPlot) return;
  const drawing = JSON.parse(source.textContent);
  for (const graph of drawing.graphs) draw(document.querySelector(`[data-graph="${graph.name}"]`), drawing, graph);
}

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("graphs");
    if (!fresh) return;
    for (const plot of plots) plot.destroy();
    plots.clear();
    resized.disconnect();
    document.getElementById("graphs").replaceWith(fresh);
    fresh.dispatchEvent(new Event("fresh", { bubbles: true }));
    show();
  } catch {
    // Offline: the next minute asks again.
  }
}

show();
setInterval(refresh, MINUTE);
document.addEventListener("visibilitychange", refresh);
// Lines are drawn in pixels: another look draws them again.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach((plot) => plot.redraw()));
