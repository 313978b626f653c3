// Bundles entry.js for the report: one minified script, with the licences of all it contains.
// Run: npm ci && npm run build. The result is the same bytes wherever it is built.
import { createHash } from "node:crypto";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const target = new URL("../../src/pytest_convergence/report/html/vendor/", import.meta.url);

const bundled = await build({
  entryPoints: ["entry.js"],
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "vendor",
  target: ["chrome110", "firefox115", "safari16.4"],
  charset: "ascii",
  legalComments: "none",
  metafile: true,
  write: false,
});

const used = Object.values(bundled.metafile.outputs)[0].inputs;
const folders = new Set(
  Object.entries(used)
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => path.match(/^(node_modules\/(?:@[^/]+\/)?[^/]+)\//)?.[1])
    .filter(Boolean),
);

const packages = [];
for (const folder of [...folders].sort()) {
  const { name, version, license } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? await readFile(`${folder}/${file}`, "utf8") : license;
  packages.push({ name, version, license, text: text.replaceAll("*/", "* /").trim() });
}

// One licence text for all packages that share it to the letter.
const notices = [...new Set(packages.map(({ text }) => text))].map((text) => {
  const those = packages.filter((one) => one.text === text);
  return `${those.map(({ name, version, license }) => `${name} ${version} (${license})`).join(", ")}\n\n${text}`;
});
const banner = `/*!\n${notices.join(`\n\n${"-".repeat(72)}\n\n`)}\n*/\n`;
// A closing tag would end the script element that the page keeps this in.
const script = (banner + bundled.outputFiles[0].text).replaceAll("</script", "<\\/script");

// Plot puts this style element into every chart: the page's policy allows it by its hash alone.
const source = await readFile("node_modules/@observablehq/plot/src/plot.js", "utf8");
const className = (await readFile("node_modules/@observablehq/plot/src/style.js", "utf8")).match(
  /return "(plot-[0-9a-f]+)"/,
)[1];
const style = source
  .match(/append\("style"\)\.text\(\s*`([^`]*)`/)[1]
  .replaceAll("${className}", className);

await writeFile(new URL("vendor.min.js", target), script);
await writeFile(
  new URL("vendor.json", target),
  JSON.stringify(
    {
      sha256: createHash("sha256").update(script).digest("hex"),
      style: `sha256-${createHash("sha256").update(style).digest("base64")}`,
      packages: packages.map(({ name, version, license }) => ({ name, version, license })),
    },
    null,
    2,
  ) + "\n",
);
console.log(`${script.length} bytes, ${packages.length} packages`);
