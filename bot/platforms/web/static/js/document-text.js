/** Draws the text of a document: headings, tables, lists, code and paragraphs, with the quote in <mark> elements. */

import { element } from "./dom.js";
import { longPage } from "./user-messages.js";

const MARKDOWN_HEADING = /^(#{1,6})\s+/;
const FENCE = /^\s*(```|~~~)\s*(\S*)/;
const TABLE_ROW = /^\s*\|.*(?<!\\)\|\s*$/;
const TABLE_RULE = /^\s*\|(\s*:?-+:?\s*\|)+\s*$/;
const LIST_ITEM = /^(\s*)(?:[-*+•]|(\d{1,3})[.)])\s+/;
/** The title of the panel is the heading above those of the document. */
const PANEL_LEVEL = 2;

/**
 * Returns the elements for the segments of a document. Each line is { runs, depth, page }: its runs are
 * { text, quoted }, and `depth` is that of a heading, else null. `isWhole` tells whether the text begins the document.
 */
export function textElements(segments, isWhole) {
  const lines = linesOf(segments);
  const drawn = [];
  let page = null;
  let isCode = !isWhole && beginsInCode(lines);
  let code = null;
  for (const line of lines) {
    if (line.page !== page) {
      page = line.page;
      drawn.push(element("div", { className: "page-number", textContent: longPage(page) }));
      code = null;
    }
    if (FENCE.test(textOf(line.runs))) {
      isCode = !isCode;
      code = null;
    } else if (isCode) {
      if (!code) drawn.push(code = scrollable("pre", "code"));
      append(code, line.runs);
      code.append("\n");
    } else if (textOf(line.runs).trim()) {
      drawLine(drawn, line);
    }
  }
  return drawn;
}

function linesOf(segments) {
  const lines = [];
  for (const { text, quoted, page, depth } of segments) {
    text.split("\n").forEach((part, index) => {
      const line = lines.at(-1);
      if (!line || index || line.page !== page) lines.push({ runs: [], depth: null, page });
      if (!part) return;
      lines.at(-1).runs.push({ text: part, quoted });
      lines.at(-1).depth = depth;
    });
  }
  return lines;
}

/** Guesses whether a part that does not begin the document begins inside code: its fences do not come in pairs. */
function beginsInCode(lines) {
  const fences = lines.map(({ runs }) => FENCE.exec(textOf(runs))).filter(Boolean);
  return fences.length % 2 === 1 && !fences[0][2];
}

/** Adds a line to the elements: to the table or list above it, or as an element of its own. */
function drawLine(drawn, { runs, depth }) {
  const text = textOf(runs);
  const sharps = MARKDOWN_HEADING.exec(text);
  const item = LIST_ITEM.exec(text);
  if (depth || sharps) {
    const level = Math.min(6, PANEL_LEVEL + (sharps ? sharps[1].length : depth));
    const heading = element(`h${level}`, { className: "heading", dir: "auto" });
    drawn.push(append(heading, slice(runs, sharps?.[0].length ?? 0)));
  } else if (TABLE_ROW.test(text)) {
    addRow(drawn, runs, text);
  } else if (item) {
    addItem(drawn, slice(runs, item[0].length), item);
  } else {
    drawn.push(append(element("p", { dir: "auto" }), runs));
  }
}

function addRow(drawn, runs, text) {
  if (!drawn.at(-1)?.classList.contains("table")) {
    drawn.push(scrollable("div", "table"));
    drawn.at(-1).append(element("table"));
  }
  const table = drawn.at(-1).firstElementChild;
  if (TABLE_RULE.test(text) && table.rows.length < 2) {
    for (const head of table.rows) head.replaceChildren(...[...head.cells].map(headerCell));
    return;
  }
  const bars = [...text.matchAll(/(?<!\\)\|/g)].map(({ index }) => index);
  const cells = bars.slice(1).map((bar, index) => unescaped(trimmed(slice(runs, bars[index] + 1, bar))));
  table.append(element("tr", {}, ...cells.map((cell) => append(element("td", { dir: "auto" }), cell))));
}

const headerCell = (cell) => element("th", { dir: "auto", scope: "col" }, ...cell.childNodes);

/** Adds an item to the list above it, if that is of the same kind. */
function addItem(drawn, runs, [, indent, number]) {
  const tag = number ? "OL" : "UL";
  if (drawn.at(-1)?.tagName !== tag) drawn.push(element(tag));
  const item = append(element("li", { dir: "auto" }), runs);
  if (number) item.value = Number(number);
  item.style.marginInlineStart = `${indent.length / 2}em`;
  drawn.at(-1).append(item);
}

/** Creates an element for wide content, which the keyboard can scroll. */
function scrollable(tag, className) {
  return element(tag, { className, tabIndex: 0 });
}

// --- runs: pieces of a line, as text and whether it is quoted

const textOf = (runs) => runs.map(({ text }) => text).join("");

/** Returns the runs between two offsets of a line. */
function slice(runs, start, end = Infinity) {
  let offset = 0;
  return runs.flatMap(({ text, quoted }) => {
    const part = text.slice(Math.max(0, start - offset), Math.max(0, end - offset));
    offset += text.length;
    return part ? [{ text: part, quoted }] : [];
  });
}

function trimmed(runs) {
  const text = textOf(runs);
  return slice(runs, text.length - text.trimStart().length, text.trimEnd().length);
}

/** Returns the runs of a cell with the bars that its text contains. */
const unescaped = (runs) => runs.map(({ text, quoted }) => ({ text: text.replaceAll("\\|", "|"), quoted }));

/** Appends runs to an element, and returns it. Nothing of the document becomes HTML. */
function append(target, runs) {
  for (const { text, quoted } of runs) target.append(quoted ? element("mark", { textContent: text }) : text);
  return target;
}
