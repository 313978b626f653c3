// Each model: agreement with itself against agreement with others; what is missing; what it cost.

function modelChart(group) {
  const rows = group.present.map((name, place) => ({ name, own: group.own?.[place], others: group.to_others?.[place] })).filter((row) => present(row.others));
  if (!rows.length) return h("p", {}, "No figures by model.");
  rows.sort((a, b) => a.others - b.others);
  const names = rows.map((row) => row.name);
  const from = Math.min(0, ...rows.flatMap((row) => [row.own ?? 0, row.others]));
  const drawing = chart("Each model's similarity to itself and to the others; the table below has its numbers", (width) => {
    const left = Math.min(Math.max(...names.map((name) => name.length)) * 6.6 + 14, width * 0.4);
    const room = Math.floor((left - 12) / 6.6);
    return plotted({
      width,
      height: rows.length * 26 + 34,
      ...{ marginLeft: left, marginRight: 12, marginTop: 4, marginBottom: 30 },
      style: { fontSize: "12px" },
      x: { domain: [from, 1], label: "similarity" },
      y: { domain: rows.map((_, place) => place), axis: null, type: "band" },
      marks: [
        vendor.axisX({ ticks: 5, tickSize: 3, color: FAINT, label: "similarity" }),
        present(group.floor) && vendor.ruleX([group.floor], { stroke: "var(--floor)", strokeDasharray: "3 2" }),
        vendor.link(rows.filter((row) => present(row.own)), { x1: "others", x2: "own", y1: (row) => rows.indexOf(row), y2: (row) => rows.indexOf(row), stroke: "var(--band)", strokeWidth: 5 }),
        vendor.dot(rows, { x: "others", y: (_, place) => place, r: 5, fill: "var(--others)" }),
        vendor.dot(rows.filter((row) => present(row.own)), { x: "own", y: (row) => rows.indexOf(row), r: 5, fill: "var(--surface)", stroke: "var(--own)", strokeWidth: 2 }),
        vendor.text(rows, { x: from, dx: -8, y: (_, place) => place, text: (row) => (row.name.length > room ? `${row.name.slice(0, room - 1)}…` : row.name), textAnchor: "end", fill: INK }),
      ],
    });
  });
  return h(
    "div",
    {},
    legend([["others", "with the others"], ["own", "with itself"], ["dash", "floor: by chance"]]),
    drawing,
    h("details", {}, h("summary", {}, "The same as a table"), table(`Models in ${group.name}`, ["Model", "With the others", "With itself", "Right answers"], rows.map((row) => [row.name, figure(row.others), figure(row.own), share(group.accuracy?.[row.name])]))),
  );
}

function modelsSection(view) {
  const lacking = (model) => Object.values(model.missing).reduce((a, b) => a + b, 0);
  const rows = [...view.models].sort((a, b) => lacking(b) - lacking(a) || compare(a.name, b.name));
  const sampled = view.sampling?.models ?? {};
  return section(
    "models",
    "Models",
    table(
      "What each model was asked, what is missing and what it cost",
      ["Model", "Responses", "Missing", "By reason", "Served as", "Tokens in", "Tokens out", "Cost"],
      rows.map((model) => [
        [model.name, " ", simulatedMark(model)],
        model.responses.toLocaleString("en"),
        lacking(model).toLocaleString("en"),
        absences(model.missing) || "–",
        h("span", { class: "short" }, Object.keys(model.served).join(", ") || "–"),
        (model.usage.input_tokens ?? 0).toLocaleString("en"),
        (model.usage.output_tokens ?? 0).toLocaleString("en"),
        money(model.usage.cost ?? sampled[model.name]?.cost),
      ]),
    ),
  );
}
