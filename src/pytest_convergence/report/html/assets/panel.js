// The panel: models x models, ordered by the dendrogram beside it.

const MEASURES = {
  score: "score (chance removed)",
  similarity: "similarity (raw)",
  floor: "floor (by chance)",
  ceiling: "ceiling",
  mmd2: "MMD² (difference of distributions)",
};

// The groups into which the dendrogram falls when cut at a mean agreement.
function cut(tree, models, cutoff) {
  const nodes = tree.leaves.map((model) => [model]);
  const parts = new Set(nodes);
  for (const [a, b, agreement] of tree.merges) {
    const joined = [...nodes[a], ...nodes[b]];
    nodes.push(joined);
    if (agreement < cutoff - 1e-12) continue;
    parts.delete(nodes[a]);
    parts.delete(nodes[b]);
    parts.add(joined);
  }
  return [...parts].map((part) => part.sort((a, b) => tree.order.indexOf(a) - tree.order.indexOf(b))).sort((a, b) => tree.order.indexOf(a[0]) - tree.order.indexOf(b[0]));
}

function pairCells(group, order, measure) {
  const values = group.pairs[measure];
  return order.flatMap((a, row) =>
    order.map((b, column) => ({ row, column, a, b, value: measure === "score" && a === b ? null : values[a][b] })),
  );
}

function pairTold(group, { a, b }) {
  const models = group.present;
  const of = (name) => figure(group.pairs[name]?.[a]?.[b]);
  if (a === b) return `${models[a]} with itself\nwithin ${of("similarity")}\nsame-model floor ${of("floor")}`;
  const interval = present(group.pairs.low?.[a]?.[b]) ? ` [${of("low")}, ${of("high")}]` : "";
  return `${models[a]}\n${models[b]}\nscore ${of("score")}${interval}\nsimilarity ${of("similarity")}\nfloor (by chance) ${of("floor")}\nceiling ${of("ceiling")}`;
}

function heat(value, measure) {
  if (!present(value)) return "var(--nothing)";
  const part = Math.max(0, Math.min(1, measure === "mmd2" ? value : value));
  return `color-mix(in oklab, var(--heat-high) ${Math.round(part * 100)}%, var(--heat-low))`;
}

const ROW = 34;

function heatMap(group, order, measure, parts, outlier) {
  const cells = pairCells(group, order, measure);
  const count = order.length;
  const names = order.map((model, place) => `${place + 1}  ${group.present[model]}`);
  const blocks = parts.filter((part) => part.length > 1).map((part) => ({ from: order.indexOf(part[0]), to: order.indexOf(part[part.length - 1]) + 1 }));
  return (width) => {
    const longest = Math.max(...names.map((name) => name.length));
    const left = Math.min(Math.max(longest * 6.6 + 16, 90), width * 0.42);
    const room = Math.floor((left - 14) / 6.6);
    const row = Math.min(ROW, Math.max(18, (width - left) / count));
    const wide = (width - left) / count >= 30;
    return plotted({
      width,
      height: count * row + 22,
      ...{ marginLeft: left, marginTop: 22, marginRight: 1, marginBottom: 1 },
      style: { fontSize: "12px" },
      x: { domain: [0, count], axis: null },
      y: { domain: [count, 0], axis: null },
      color: { type: "identity" },
      marks: [
        vendor.rect(cells, { x1: "column", x2: (cell) => cell.column + 1, y1: "row", y2: (cell) => cell.row + 1, fill: (cell) => heat(cell.value, measure), inset: 0.5, rx: 2 }),
        wide && vendor.text(cells, { x: (cell) => cell.column + 0.5, y: (cell) => cell.row + 0.5, text: (cell) => (present(cell.value) ? figure(cell.value) : cell.a === cell.b ? "·" : "–"), fill: (cell) => ((cell.value ?? 0) > 0.55 ? "var(--heat-text-high)" : "var(--heat-text-low)") }),
        vendor.rect(blocks, { x1: "from", x2: "to", y1: "from", y2: "to", fill: "none", stroke: "var(--mark)", strokeWidth: 2.5, rx: 3 }),
        vendor.text(names, { x: 0, dx: -8, y: (_, place) => place + 0.5, text: (name) => (name.length > room ? `${name.slice(0, room - 1)}…` : name), textAnchor: "end", fill: (_, place) => (order[place] === outlier ? "var(--failed)" : INK), fontWeight: (_, place) => (order[place] === outlier ? "bold" : "normal") }),
        (width - left) / count > 15 && vendor.text(order, { x: (_, place) => place + 0.5, y: 0, dy: -9, text: (_, place) => String(place + 1), fill: FAINT }),
        vendor.tip(cells, vendor.pointer({ x: (cell) => cell.column + 0.5, y: (cell) => cell.row + 0.5, title: (cell) => pairTold(group, cell), fontSize: 12, fill: "var(--raised)", stroke: "var(--line)" })),
      ],
    });
  };
}

function branches(tree) {
  const top = Math.max(1, ...tree.merges.map((merge) => merge[2]));
  const nodes = tree.leaves.map((model) => ({ x: top, y: tree.order.indexOf(model) + 0.5 }));
  const lines = [];
  for (const [a, b, agreement] of tree.merges) {
    const [one, other] = [nodes[a], nodes[b]];
    lines.push({ x1: one.x, y1: one.y, x2: agreement, y2: one.y }, { x1: agreement, y1: one.y, x2: agreement, y2: other.y }, { x1: agreement, y1: other.y, x2: other.x, y2: other.y });
    nodes.push({ x: agreement, y: (one.y + other.y) / 2 });
  }
  return { top, lines };
}

function dendrogram(tree, cutoff, row) {
  const { top, lines } = branches(tree);
  const count = tree.order.length;
  const least = Math.min(cutoff, ...tree.merges.map((merge) => merge[2]));
  return (width) =>
    plotted({
      width,
      height: count * row() + 22 + 24,
      ...{ marginLeft: 4, marginRight: 14, marginTop: 22, marginBottom: 25 },
      x: { domain: [top, least - 0.05 * (top - least)], label: null },
      y: { domain: [count, 0], axis: null },
      marks: [
        vendor.axisX({ ticks: 3, tickSize: 3, color: FAINT, label: null }),
        vendor.ruleX([cutoff], { stroke: "var(--mark)", strokeWidth: 1.5, strokeDasharray: "4 3" }),
        vendor.link(lines, { x1: "x1", x2: "x2", y1: "y1", y2: "y2", stroke: INK, strokeWidth: 1.3 }),
      ],
    });
}

// A gap that does not show at two places is no gap.
function standsApart(outlier) {
  return Boolean(outlier) && outlier.gap >= 0.005;
}

function partsTold(group, tree, parts, cutoff) {
  const names = (part) => part.map((model) => group.present[model]).join(", ");
  const several = parts.filter((part) => part.length > 1);
  const alone = parts.filter((part) => part.length === 1);
  const outlier = tree.outlier;
  return h(
    "ul",
    { class: "plain", "aria-live": "polite" },
    several.map((part, number) => h("li", {}, h("b", {}, `Convergent group ${number + 1}: `), names(part))),
    several.length ? null : h("li", {}, `No two models reach a mean ${tree.measure} of ${figure(cutoff)}.`),
    alone.length ? h("li", {}, h("b", {}, "On their own: "), names(alone.flat())) : null,
    standsApart(outlier)
      ? h("li", {}, h("b", { class: "bad" }, "Furthest from the others: "), `${group.present[outlier.model]}, mean ${tree.measure} ${figure(outlier.to_others)}, ${figure(outlier.gap)} below the next`)
      : h("li", {}, "No model stands apart from the others."),
  );
}

function pairTable(group, order) {
  const rows = order.flatMap((a, place) =>
    order.slice(place + 1).map((b) => {
      const of = (name) => figure(group.pairs[name]?.[a]?.[b]);
      const interval = present(group.pairs.low?.[a]?.[b]) ? `[${of("low")}, ${of("high")}]` : "";
      return [`${group.present[a]} and ${group.present[b]}`, of("score"), interval, of("similarity"), of("floor"), of("ceiling"), of("mmd2")];
    }),
  );
  return h("details", {}, h("summary", {}, "The same as a table"), table(`Pairs of models in ${group.name}`, ["Pair", "Score", "Interval", "Similarity", "Floor", "Ceiling", "MMD²"], rows));
}

function panelView(group, measure) {
  const tree = group.tree;
  const order = tree?.order ?? group.present.map((_, place) => place);
  let cutoff = tree?.cutoff ?? 1;
  const outlier = standsApart(tree?.outlier) ? tree.outlier.model : null;
  const longest = Math.max(...group.present.map((name) => name.length));
  const besides = (map, beside) => {
    const place = h("div", { class: "beside" }, map, beside);
    place.style.setProperty("--panel", `${Math.min(longest * 6.6 + 40, 220) + order.length * 58}px`);
    return place;
  };
  const place = h("div", {});
  const draw = () => {
    const parts = tree ? cut(tree, group.present, cutoff) : [];
    const map = chart(`Heat map of ${MEASURES[measure]} between ${counted(group.present.length, "model")}; the table below has its numbers`, heatMap(group, order, measure, parts, outlier), { class: "chart heat" });
    const rowHeight = () => {
      const svg = map.querySelector("svg");
      return svg ? (svg.getAttribute("height") - 22) / order.length : ROW;
    };
    place.replaceChildren(
      besides(map, tree && h("div", { class: "tree" }, chart(`Dendrogram: mean ${tree.measure} at which models join`, (width) => dendrogram(tree, cutoff, rowHeight)(width)), h("p", { class: "faint small" }, `mean ${tree.measure} at which they join`))),
      tree ? partsTold(group, tree, parts, cutoff) : h("p", {}, "Some pairs have no figure, so the models are in the order of the panel."),
    );
  };
  draw();
  const slider = tree && h("input", { type: "range", min: 0, max: 1, step: 0.01, value: cutoff, on: { input: () => { cutoff = Number(slider.value); told.textContent = figure(cutoff); draw(); } } });
  const told = h("output", {}, figure(cutoff));
  return h("div", {}, tree && h("label", { class: "choice" }, h("span", {}, `Models form a group from a mean ${tree.measure} of`), slider, told), place, pairTable(group, order));
}

function panelSection(view) {
  const groups = view.groups.filter((group) => group.pairs && group.present?.length > 1);
  if (!groups.length) return null;
  let chosen = Math.max(0, groups.findIndex((group) => present(group.value)));
  let measure = null;
  const body = h("div", {});
  const show = () => {
    const group = groups[chosen];
    const offered = Object.keys(MEASURES).filter((name) => group.pairs[name]?.some((row, a) => row.some((value, b) => a !== b && present(value))));
    if (!offered.includes(measure)) measure = offered[0];
    body.replaceChildren(
      h(
        "div",
        { class: "controls" },
        choice("Group", groups.map((one, number) => [number, `${one.name} (${one.test})`]), chosen, (value) => { chosen = Number(value); show(); body.querySelector("select").focus(); }),
        choice("Show", offered.map((name) => [name, MEASURES[name]]), measure, (value) => { measure = value; show(); body.querySelectorAll("select")[1].focus(); }),
      ),
      panelView(group, measure),
      h("h3", {}, "Each model: with itself, and with the others"),
      modelChart(group),
    );
  };
  show();
  return section("panel", "Panel", h("p", { class: "note" }, "Models that lie close together answer alike. Outlined blocks are convergent groups at the mark you set."), body);
}
