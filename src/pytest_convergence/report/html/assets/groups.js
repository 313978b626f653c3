// Capabilities: one row a group on a shared axis, the failing ones open.

const COLUMNS = {
  name: ["Group", (group) => group.name.toLowerCase()],
  value: ["Score [interval]", (group) => group.value ?? -Infinity],
  similarity: ["Similarity", (group) => group.similarity ?? -Infinity],
  prompts: ["Prompts", (group) => group.cases.length],
  missing: ["Missing", (group) => group.missing.reduce((sum, one) => sum + one.count, 0)],
  verdict: ["Verdict", (group) => ORDER.indexOf(group.verdict ?? "reported")],
};

function groupDetail(view, group) {
  const one = (name) => figure(group[name]);
  return h("div", { class: "pair" }, h("div", {},
    terms([
      ["Asserted", asserted(group)],
      ["Why", group.reason || group.undefined],
      ["Score", `${figure(group.value)} ${spanned(group.interval)}`],
      ["Similarity", `${one("similarity")} ${spanned(group.similarity_interval)}`],
      ["Within", `${one("within")} (each model with itself)`],
      ["Floor", `${one("floor")} (same model on other prompts ${one("same_model_floor")})`],
      ["Ceiling", one("ceiling")],
      ["Permutation of prompts", present(group.permutation_p) ? `mean ${one("permutation_mean")}, p = ${figure(group.permutation_p, 3)}` : null],
      ["Same distribution", present(group.mmd2) ? `MMD² = ${figure(group.mmd2, 3)}${present(group.mmd_p) ? `, p = ${figure(group.mmd_p, 3)}` : ""}` : null],
      ["Prompts", `${group.cases.length} in ${counted(group.families ?? group.cases.length, "family").replace("familys", "families")}${group.duplicates ? `, ${group.duplicates} duplicates collapsed` : ""}`],
      ["Metric", `${group.metric}, ${counted(group.samples, "sample")}`],
      ["Right answers", Object.keys(group.accuracy ?? {}).length ? Object.entries(group.accuracy).map(([model, right]) => `${model} ${share(right)}`).join(", ") : null],
      ...agreementTerms(group.agreement),
      ["Length and format", confoundTerm(group.confounds)],
      ["To settle it", settlementTerm(group)],
      ["Identical samples", group.copies?.length ? `${group.copies.join(", ")}: n copies are not n samples` : null],
      ["Test", h("code", {}, group.nodeid)],
    ])),
    h("div", {}, dividing(view, group),
    group.missing.length ? table("Missing responses: neither agreement nor disagreement", ["Model", "Count", "Kind", "Reason"], group.missing.map((lack) => [lack.model, String(lack.count), lack.kind, h("span", { class: "said short" }, lack.reason)])) : null,
    mistakes(group.agreement),
    judgesTables(group.judges)),
  );
}

// The prompts that decide: least alike where convergence was asserted, most alike where not.
function dividing(view, group) {
  const sign = group.direction === "diverges" ? -1 : 1;
  const known = group.prompts.filter((prompt) => present(prompt.similarity));
  if (known.length < 2) return null;
  const worst = [...known].sort((a, b) => sign * (a.similarity - b.similarity)).slice(0, 5);
  return table(
    sign > 0 ? "Prompts that divide the models most" : "Prompts on which the models are most alike",
    ["Prompt", "Similarity", "Score without it"],
    worst.map((prompt) => {
      const one = view.cases[prompt.case];
      const without = present(group.value) && present(prompt.leverage) ? group.value - prompt.leverage : null;
      return [caseLink(one), figure(prompt.similarity), figure(without)];
    }),
  );
}

function groupRows(view, axis) {
  return view.groups.map((group, number) => {
    const button = h("button", { type: "button", class: "opener", "aria-controls": `group-${number}` }, group.name);
    const body = h("tr", { id: `group-${number}`, class: "opened" });
    const row = h(
      "tr",
      { class: "row" },
      h("th", { scope: "row" }, button, h("small", {}, group.test)),
      h("td", { class: "drawing" }, rowChart(group, axis)),
      h("td", { class: "number", "data-label": "score" }, h("b", {}, figure(group.value)), " ", h("span", { class: "faint" }, spanned(group.interval))),
      h("td", { class: "number", "data-label": "similarity" }, figure(group.similarity)),
      h("td", { class: "number", "data-label": "prompts" }, String(group.cases.length)),
      h("td", { class: "number", "data-label": "missing" }, String(COLUMNS.missing[1](group))),
      h("td", {}, badge(group)),
    );
    const set = disclosure(button, body, () => body.append(h("td", { colspan: 7 }, groupDetail(view, group))));
    if (!group.passed) set(true);
    return { group, number, nodes: [row, body] };
  });
}

function groupsSection(view) {
  const axis = axisOf(view.groups.map((group) => onAxis(group)));
  const rows = groupRows(view, axis);
  const body = h("tbody", {}, rows.map((row) => row.nodes));
  const sort = sortable(COLUMNS, (key, down) => {
    const value = COLUMNS[key][1];
    const sorted = [...rows].sort((a, b) => (down ? -1 : 1) * compare(value(a.group), value(b.group)) || a.number - b.number);
    body.replaceChildren(...sorted.flatMap((row) => row.nodes));
  });
  return section(
    "groups",
    "Capabilities",
    h("p", { class: "note" }, "Worst first. The dot is the models' similarity. The band runs from agreement by chance (floor, score 0) to each model's agreement with itself (ceiling, score 1); threshold and interval of the score are drawn between them."),
    legend([["band", "floor to ceiling"], ["dot", "similarity with interval"], ["dash", "threshold"]]),
    h(
      "table",
      { class: "rows" },
      h("caption", { class: "unseen" }, "Groups, worst first"),
      h("thead", {}, h("tr", {}, sort.head("name"), h("th", { scope: "col", class: "drawing" }, h("span", { class: "unseen" }, "Chart"), rowAxis(axis)), sort.head("value"), sort.head("similarity"), sort.head("prompts"), sort.head("missing"), sort.head("verdict"))),
      body,
    ),
  );
}

// What was asserted of something else than convergence: a rate, a difference.
function checksSection(view) {
  if (!view.checks.length) return null;
  const axis = axisOf(view.checks.map((check) => onAxis(check)));
  const rows = view.checks.map((check, number) => {
    const button = h("button", { type: "button", class: "opener", "aria-controls": `check-${number}` }, check.name);
    const body = h("tr", { id: `check-${number}`, class: "opened" });
    const detail = checkDetail(check);
    const row = h(
      "tr",
      { class: "row" },
      h("th", { scope: "row" }, detail.length ? button : check.name, h("small", {}, check.test)),
      h("td", { class: "drawing" }, present(check.value) ? rowChart(check, axis) : null),
      h("td", { class: "number", "data-label": check.quantity }, h("b", {}, figure(check.value)), " ", h("span", { class: "faint" }, spanned(check.interval))),
      h("td", { "data-label": "asserted" }, asserted(check)),
      h("td", {}, badge(check), check.reason ? h("small", { class: "faint said short" }, check.reason) : null),
    );
    if (!detail.length) return [row];
    const set = disclosure(button, body, () => body.append(h("td", { colspan: 5 }, detail)));
    if (!check.passed || check.found) set(true);
    return [row, body];
  });
  return section(
    "checks",
    "Checks",
    h("p", { class: "note" }, "What was asked of something else than convergence: rates, differences, groups of models. Worst first."),
    h(
      "table",
      { class: "rows checks" },
      h("caption", { class: "unseen" }, "Checks, worst first"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Check"), h("th", { scope: "col", class: "drawing" }, h("span", { class: "unseen" }, "Chart"), rowAxis(axis)), h("th", { scope: "col", class: "wide" }, "Value [interval]"), h("th", { scope: "col", class: "wide" }, "Asserted"), h("th", { scope: "col" }, "Verdict"))),
      h("tbody", {}, rows),
    ),
  );
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

// Column heads that sort: first click in their own good order, then the other way.
function sortable(columns, apply) {
  const heads = new Map();
  let current = null;
  let down = false;
  return {
    head(key) {
      const button = h("button", { type: "button", class: "sorter" }, columns[key][0]);
      const head = h("th", { scope: "col", "aria-sort": "none", class: key === "value" ? "wide" : null }, button);
      heads.set(key, head);
      button.addEventListener("click", () => {
        down = current === key ? !down : false;
        current = key;
        for (const [name, cell] of heads) cell.setAttribute("aria-sort", name === key ? (down ? "descending" : "ascending") : "none");
        apply(key, down);
      });
      return head;
    },
  };
}
