// What the report's page uses of its two libraries; everything else is shaken off.
export {
  plot,
  axisX,
  axisY,
  cell,
  dot,
  link,
  ruleX,
  ruleY,
  rect,
  line,
  text,
  tickX,
  tip,
  pointer,
  pointerX,
  pointerY,
} from "@observablehq/plot";
export { interpolateBlues, interpolateViridis } from "d3-scale-chromatic";
export { diffWordsWithSpace } from "diff";
