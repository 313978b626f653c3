// Charts by Observable Plot. Colours are the page's own custom properties, so themes need no redraw.

const INK = "var(--ink)";
const FAINT = "var(--faint)";

// A chart that is drawn anew when its place changes width.
function chart(label, draw, attributes = {}) {
  const place = h("div", { class: "chart", role: "img", "aria-label": label, ...attributes });
  let drawn = 0;
  const redraw = () => {
    const width = Math.floor(place.clientWidth);
    if (!width || width === drawn) return;
    drawn = width;
    place.replaceChildren(draw(width));
  };
  new ResizeObserver(redraw).observe(place);
  place.redraw = () => {
    drawn = 0;
    redraw();
  };
  return place;
}

// Charts inside an element with role=img are for the eye; their numbers stand in text beside them.
function plotted({ marks, ...options }) {
  const drawn = vendor.plot({ ...options, marks: marks.filter(Boolean) });
  drawn.setAttribute("aria-hidden", "true");
  return drawn;
}

// Where a threshold on the score lies between floor and ceiling, on the axis of similarity.
function placed(entry, score) {
  if (score === null || score === undefined) return null;
  if (entry.quantity !== "score") return score;
  if (entry.value === null || entry.floor === null || entry.ceiling === null) return null;
  return entry.floor + score * (entry.ceiling - entry.floor);
}

// Everything of a group or a case that lies on the axis of similarity.
function onAxis(entry, chance) {
  const group = entry.quantity === "score";
  const interval = group && entry.value === null ? entry.similarity_interval : entry.interval;
  const mapped = group && entry.value !== null ? (value) => placed(entry, value) : (value) => value;
  return {
    floor: group ? entry.floor : chance?.floor,
    ceiling: group ? entry.ceiling : entry.within,
    threshold: placed(entry, entry.threshold),
    value: group ? entry.similarity : entry.value,
    low: interval ? mapped(interval.low) : null,
    high: interval ? mapped(interval.high) : null,
  };
}

const present = (value) => value !== null && value !== undefined;

// From the lowest figure or 0 to the highest or 1, so that every row has the same axis.
function axisOf(places) {
  const values = places.flatMap((place) => Object.values(place)).filter(present);
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [0, 1]);
}

function axisMarks(place, state) {
  const band = present(place.floor) && present(place.ceiling);
  return [
    band && vendor.link([place], { x1: "floor", x2: "ceiling", y1: 0, y2: 0, stroke: "var(--band)", strokeWidth: 12 }),
    present(place.floor) && vendor.tickX([place], { x: "floor", stroke: "var(--floor)", strokeWidth: 2, insetTop: 4, insetBottom: 4 }),
    present(place.ceiling) && vendor.tickX([place], { x: "ceiling", stroke: "var(--ceiling)", strokeWidth: 2, insetTop: 4, insetBottom: 4 }),
    present(place.threshold) && vendor.ruleX([place], { x: "threshold", stroke: INK, strokeWidth: 1.5, strokeDasharray: "3 2" }),
    present(place.low) && vendor.link([place], { x1: "low", x2: "high", y1: 0, y2: 0, stroke: `var(--${state})`, strokeWidth: 2.5, strokeLinecap: "round" }),
    present(place.value) && vendor.dot([place], { x: "value", y: 0, r: 5, fill: `var(--${state})`, stroke: "var(--surface)", strokeWidth: 1.5 }),
  ];
}

// One row: floor to ceiling as a band, the similarity with its interval, the threshold dashed.
function rowChart(entry, axis, chance) {
  const place = onAxis(entry, chance);
  const told = [
    present(place.value) && `similarity ${figure(place.value)}`,
    entry.quantity === "score" && `score ${figure(entry.value)} ${spanned(entry.interval)}`,
    entry.quantity !== "score" && entry.interval && spanned(entry.interval),
    present(place.floor) && `floor ${figure(place.floor)}`,
    present(place.ceiling) && `${entry.quantity === "score" ? "ceiling" : "within"} ${figure(place.ceiling)}`,
    present(entry.threshold) && `threshold ${figure(entry.threshold)}`,
  ].filter(Boolean);
  const drawing = chart(told.join(", "), (width) =>
    plotted({
      width,
      height: 26,
      ...{ marginLeft: 7, marginRight: 7, marginTop: 0, marginBottom: 0 },
      x: { domain: axis, clamp: true, axis: null },
      y: { domain: [-1, 1], axis: null },
      marks: axisMarks(place, standing(entry)),
    }),
  );
  drawing.title = told.join("\n");
  return drawing;
}

function rowAxis(axis) {
  return chart("", (width) =>
    plotted({
      width,
      height: 20,
      ...{ marginLeft: 7, marginRight: 7, marginTop: 0, marginBottom: 19 },
      x: { domain: axis },
      marks: [vendor.axisX({ ticks: width < 200 ? 3 : 5, tickSize: 3, label: null, color: FAINT, fontSize: 11 })],
    }),
    { role: "presentation", "aria-label": null },
  );
}

function legend(entries) {
  return h(
    "ul",
    { class: "legend" },
    entries.map(([kind, told]) => h("li", {}, h("span", { class: `key ${kind}`, "aria-hidden": "true" }), told)),
  );
}
