// Over time: each capability over the runs that were kept.

function trendPoints(view, group) {
  return view.history
    .map((run) => ({ created: run.created, found: run.groups.find((one) => one.id === group.id), models: run.models }))
    .filter((point) => point.found)
    .map((point, place) => ({ place, created: shownDate(point.created), ...point.found, low: point.found.interval?.low ?? null, high: point.found.interval?.high ?? null, same: comparable(point.found, group) }));
}

// A score over other models, samples or another metric is another quantity.
function comparable(one, group) {
  return one.metric === group.metric && one.samples === group.samples && JSON.stringify(one.models) === JSON.stringify(group.models);
}

function trendChart(group, points) {
  const values = points.flatMap((point) => [point.value, point.low, point.high]).filter(present);
  const threshold = group.threshold;
  const domain = [Math.min(0, ...values), Math.max(1, ...values)];
  return chart(`${group.name}: ${group.quantity} over ${counted(points.length, "run")}, from ${figure(points[0].value)} to ${figure(points[points.length - 1].value)}`, (width) =>
    plotted({
      width,
      height: 150,
      ...{ marginLeft: 32, marginRight: 14, marginTop: 10, marginBottom: 24 },
      x: { domain: [-0.5, points.length - 0.5], axis: null },
      y: { domain },
      marks: [
        vendor.axisY({ ticks: 3, tickSize: 3, color: FAINT, label: null }),
        vendor.ruleY([domain[0]], { stroke: "var(--line)" }),
        present(threshold) && vendor.ruleY([threshold], { stroke: INK, strokeDasharray: "3 2" }),
        vendor.link(points.filter((point) => present(point.low)), { x1: "place", x2: "place", y1: "low", y2: "high", stroke: "var(--others)", strokeOpacity: 0.45, strokeWidth: 3 }),
        vendor.line(points.filter((point) => point.same), { x: "place", y: "value", stroke: "var(--others)", strokeWidth: 1.5 }),
        vendor.dot(points.filter((point) => present(point.value)), { x: "place", y: "value", r: 4, fill: (point) => (point.same ? "var(--others)" : "var(--surface)"), stroke: "var(--others)" }),
        vendor.text([points[0], points[points.length - 1]].slice(points.length > 1 ? 0 : 1), { x: "place", y: domain[0], dy: 14, text: (point) => point.created.slice(0, 10), fill: FAINT, textAnchor: (point) => (point.place ? "end" : "start") }),
        vendor.tip(points.filter((point) => present(point.value)), vendor.pointerX({ x: "place", y: "value", title: (point) => `${point.created}\n${group.quantity} ${figure(point.value)} ${spanned(point.interval)}\n${point.verdict ?? "reported"}${point.same ? "" : "\nother models, samples or metric"}`, fill: "var(--raised)", stroke: "var(--line)" })),
      ],
    }),
  );
}

function trendSection(view) {
  const shown = view.groups.map((group) => ({ group, points: trendPoints(view, group) })).filter(({ points }) => points.length > 1);
  if (!shown.length) return null;
  return section(
    "trend",
    "Over time",
    h("p", { class: "note" }, "Runs that were kept. A hollow dot had other models, samples or another metric and is not joined to the rest."),
    h("div", { class: "multiples" }, shown.map(({ group, points }) => h("figure", {}, h("figcaption", {}, group.name), trendChart(group, points)))),
    h(
      "details",
      {},
      h("summary", {}, "The same as a table"),
      table("Kept runs", ["Run", ...shown.map(({ group }) => group.name)], view.history.map((run) => [shownDate(run.created), ...shown.map(({ group }) => { const found = run.groups.find((one) => one.id === group.id); return found ? `${figure(found.value)} ${found.verdict ?? ""}` : "–"; })])),
    ),
  );
}
