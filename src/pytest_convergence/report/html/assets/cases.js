// All cases: searched, filtered, sorted, opened; the failing ones first.

const PAGE = 50;
const OPENED = 3;

const CASE_COLUMNS = {
  rank: ["Worst first", (one) => one.rank],
  name: ["Case", (one) => one.prompt_id.toLowerCase()],
  value: ["Similarity", (one) => one.value ?? -Infinity],
  missing: ["Missing", (one) => one.missing],
  verdict: ["Verdict", (one) => ORDER.indexOf(one.verdict ?? "reported")],
};

function caseRow(view, number, axis) {
  const one = view.cases[number];
  const groups = one.groups.map((place) => view.groups[place]);
  const button = h("button", { type: "button", class: "opener", "aria-controls": `panel-${number}` }, one.prompt_id || one.id);
  const cell = h("td", { colspan: 5 });
  const body = h("tr", { id: `panel-${number}`, class: "opened" }, cell);
  const row = h(
    "tr",
    { class: "row", id: `row-${number}` },
    h("th", { scope: "row" }, button, h("small", { dir: "auto", class: "preview" }, one.prompt), h("small", {}, groups.map((group) => group.name).join(", ") || one.nodeid)),
    h("td", { class: "drawing" }, present(one.value) ? rowChart(one, axis, groups[0]) : null),
    h("td", { class: "number", "data-label": "similarity" }, h("b", {}, figure(one.value)), " ", h("span", { class: "faint" }, spanned(one.interval))),
    h("td", { class: "number", "data-label": "missing" }, one.missing ? `${one.missing} of ${one.responses}` : "0"),
    h("td", {}, badge(one), one.wrong ? h("span", { class: "tag bad" }, "wrong") : null),
  );
  const set = disclosure(button, body, () => casePanel(view, number, cell));
  return { one, number, nodes: [row, body], set, row, button };
}

function matches(one, wanted) {
  if (wanted.verdict === "failing" && (one.verdict === undefined || one.passed)) return false;
  if (wanted.verdict === "wrong" && !one.wrong) return false;
  if (!["", "failing", "wrong"].includes(wanted.verdict) && (one.verdict ?? "reported") !== wanted.verdict) return false;
  if (wanted.group !== "" && !one.groups.includes(Number(wanted.group))) return false;
  return wanted.text === "" || `${one.id}\n${one.prompt}`.toLowerCase().includes(wanted.text);
}

function caseList(view) {
  const chances = view.cases.map((one) => onAxis(one, view.groups[one.groups[0]]));
  const axis = axisOf(chances);
  const rows = new Map();
  const wanted = { verdict: "", group: "", text: "" };
  const order = { key: "rank", down: false };
  const body = h("tbody", {});
  const status = h("p", { role: "status", class: "note" });
  const more = h("button", { type: "button", on: { click: () => { limit += PAGE; draw(); } } });
  let limit = PAGE;
  const rowOf = (number) => {
    if (!rows.has(number)) rows.set(number, caseRow(view, number, axis));
    return rows.get(number);
  };
  const found = () => {
    const value = CASE_COLUMNS[order.key][1];
    const numbers = view.cases.map((_, number) => number).filter((number) => matches(view.cases[number], wanted));
    return numbers.sort((a, b) => (order.down ? -1 : 1) * compare(value(view.cases[a]), value(view.cases[b])) || view.cases[a].rank - view.cases[b].rank || a - b);
  };
  const draw = () => {
    const numbers = found();
    body.replaceChildren(...numbers.slice(0, limit).flatMap((number) => rowOf(number).nodes));
    status.textContent = `${counted(numbers.length, "case")} of ${view.cases.length}${numbers.length > limit ? `, the first ${limit} shown` : ""}`;
    more.hidden = numbers.length <= limit;
    more.textContent = `Show ${Math.min(PAGE, numbers.length - limit)} more`;
  };
  const atLeast = (count) => { if (order.key === "rank" && !order.down && limit < count) { limit = count; draw(); } };
  const change = (name) => (value) => { wanted[name] = value; limit = PAGE; draw(); };
  return { body, status, more, draw, change, atLeast, order, rowOf, axis, reveal: (number) => { if (!found().slice(0, limit).includes(number)) { body.prepend(...rowOf(number).nodes); } return rowOf(number); } };
}

function failingCases(view) {
  const numbers = view.cases.map((_, number) => number).filter((number) => view.cases[number].verdict && !view.cases[number].passed);
  return numbers.sort((a, b) => view.cases[a].rank - view.cases[b].rank);
}

function openGradually(list, numbers) {
  numbers.forEach((number, place) => setTimeout(() => list.rowOf(number).set(true), 150 * place));
}

function casesSection(view) {
  if (!view.cases.length) return null;
  const list = caseList(view);
  const search = h("input", { type: "search", placeholder: "prompt or name", on: { input: () => list.change("text")(search.value.trim().toLowerCase()) } });
  const offered = ORDER.filter((verdict) => view.cases.some((one) => (one.verdict ?? "reported") === verdict)).map((verdict) => [verdict, verdict]);
  const sort = sortable(CASE_COLUMNS, (key, down) => { Object.assign(list.order, { key, down }); list.draw(); });
  list.draw();
  const failing = failingCases(view);
  openGradually(list, failing.slice(0, OPENED));
  // On paper nothing can be scrolled to: every failing case has at least its line.
  addEventListener("beforeprint", () => list.atLeast(failing.length));
  const others = failing.slice(OPENED);
  const openOthers = () => { list.atLeast(failing.length); openGradually(list, others); };
  followLinks(view, list);
  return section(
    "cases",
    "Cases",
    h(
      "div",
      { class: "controls", role: "search", "aria-label": "Cases" },
      h("label", { class: "choice" }, h("span", {}, "Search"), search),
      choice("Verdict", [["", "all"], ["failing", "not as asserted"], ["wrong", "converged and wrong"], ...offered], "", list.change("verdict")),
      choice("Group", [["", "all"], ...view.groups.map((group, place) => [place, `${group.name} (${group.test})`])], "", list.change("group")),
      others.length ? h("button", { type: "button", on: { click: openOthers } }, `Open the other ${counted(others.length, "failing case")}`) : null,
    ),
    list.status,
    legend([["dot", "similarity with interval"], ["dash", "threshold"], ["floor", "floor of its group"], ["ceiling", "within"]]),
    h(
      "table",
      { class: "rows cases" },
      h("caption", { class: "unseen" }, "Cases"),
      h("thead", {}, h("tr", {}, sort.head("name"), h("th", { scope: "col", class: "drawing" }, h("span", { class: "unseen" }, "Chart"), rowAxis(list.axis)), sort.head("value"), sort.head("missing"), sort.head("verdict"))),
      list.body,
    ),
    list.more,
  );
}

// #case=<id> opens a case, from inside the page and from a pull request.
function followLinks(view, list) {
  const follow = () => {
    const asked = /^#case=(.*)$/.exec(location.hash);
    if (!asked) return;
    let id;
    try {
      id = decodeURIComponent(asked[1]);
    } catch {
      return;
    }
    const number = view.cases.findIndex((one) => wellFormed(one.id) === id);
    if (number < 0) return;
    const row = list.reveal(number);
    row.set(true);
    requestAnimationFrame(() => {
      row.row.scrollIntoView({ block: "start" });
      row.button.focus({ preventScroll: true });
    });
  };
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#case="]');
    if (link && link.hash === location.hash) follow();
  });
  queueMicrotask(follow);
}
