// Building the page. Text becomes text nodes and nothing else: no markup is ever made of it.

function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "on") for (const [type, listen] of Object.entries(value)) element.addEventListener(type, listen);
    else if (key === "value" || key === "checked" || key === "open" || key === "hidden") element[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// What was compressed when the page was made, back as a value.
async function unpack(id) {
  const packed = document.getElementById(id).textContent;
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const parsed = new Promise((resolve) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", resolve, { once: true });
  else resolve();
});

async function unpackCase(number) {
  await parsed;
  return unpack(`case-${number}`);
}

const breath = () => new Promise((resolve) => setTimeout(resolve));

// Fills a place part by part, so that the page answers in between; a newer filling ends an older.
async function fillGradually(place, makers) {
  const turn = Symbol("turn");
  place.turn = turn;
  place.setAttribute("aria-busy", "true");
  place.replaceChildren();
  for (const make of makers) {
    if (place.turn !== turn) return;
    place.append(make());
    await breath();
  }
  if (place.turn === turn) place.removeAttribute("aria-busy");
}

function section(id, heading, ...children) {
  return h("section", { id, "aria-labelledby": `${id}-heading` }, h("h2", { id: `${id}-heading` }, heading), children);
}

function terms(pairs) {
  return h(
    "dl",
    { class: "terms" },
    pairs.filter(([, told]) => told !== null && told !== undefined && told !== "").map(([term, told]) => h("div", {}, h("dt", {}, term), h("dd", {}, told))),
  );
}

function table(caption, columns, rows, attributes = {}) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      attributes,
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col" }, column)))),
      h("tbody", {}, rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map((cell) => h("td", {}, cell))))),
    ),
  );
}

function choice(label, options, chosen, change) {
  const select = h(
    "select",
    { on: { change: () => change(select.value) } },
    options.map(([value, told]) => h("option", { value }, told)),
  );
  select.value = chosen;
  return h("label", { class: "choice" }, h("span", {}, label), select);
}

// A button that opens what `fill` builds, the first time it is asked to.
function disclosure(button, body, fill) {
  let filled = false;
  const set = (open) => {
    button.setAttribute("aria-expanded", String(open));
    body.hidden = !open;
    if (open && !filled) {
      filled = true;
      fill(body);
    }
  };
  button.addEventListener("click", () => set(button.getAttribute("aria-expanded") !== "true"));
  set(false);
  return set;
}

function themeSwitch() {
  const told = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
  const themes = Object.keys(told);
  let theme = "auto";
  const button = h("button", { type: "button", class: "quiet", on: { click: () => show(themes[(themes.indexOf(theme) + 1) % 3]) } });
  const show = (next) => {
    theme = next;
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = told[theme];
    try {
      localStorage.setItem("convergence-theme", theme);
    } catch {
      // Storage may be closed to a page opened from disk; then the choice lasts as long as the page.
    }
  };
  try {
    theme = localStorage.getItem("convergence-theme") ?? "auto";
  } catch {
    theme = "auto";
  }
  show(themes.includes(theme) ? theme : "auto");
  return button;
}
