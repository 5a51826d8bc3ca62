/** Copies answers and code to the clipboard. */

import { announce, byId, orNotice } from "./dom.js";
import { COPIED, NOT_COPIED } from "./user-messages.js";
import { answersOf } from "./state.js";

const SHOWN_MS = 1500;

/** Copies the complete answer, without the numbers of its citations. */
export async function copyAnswer(card, message) {
  const bodies = answersOf(message.turn).map(({ id }) => byId(id).querySelector(".body"));
  await copy(bodies.map(readableText).join("\n\n"), card.querySelector('[data-action="copy"] .label'));
}

/** Returns the text of a rendered answer, a line for each row of a table. */
function readableText(body) {
  const copied = body.cloneNode(true);
  copied.querySelectorAll(".code-head").forEach((head) => head.remove());
  copied.querySelectorAll(".cite").forEach(removeCitation);
  copied.querySelectorAll("math").forEach((formula) => {
    formula.replaceWith(formula.querySelector("annotation").textContent);
  });
  copied.querySelectorAll("table").forEach((table) => {
    table.replaceWith([...table.rows].map((row) => `${cellTexts(row).join("\t")}\n`).join(""));
  });
  copied.querySelectorAll("p, li, pre, h1, h2, h3, h4, blockquote").forEach((block) => block.append("\n"));
  return copied.textContent.replace(/[ \t]+$/gm, "").replace(/\n{3,}/g, "\n\n").trim();
}

const cellTexts = (row) => [...row.cells].map((cell) => cell.textContent.trim());

/** Removes the number of a citation and the space before it. */
function removeCitation(citation) {
  const before = citation.previousSibling;
  if (before?.nodeType === Node.TEXT_NODE) before.data = before.data.trimEnd();
  citation.remove();
}

async function copy(text, label) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    throw new Error(NOT_COPIED);
  }
  announce(COPIED);
  const before = label.textContent;
  if (before === COPIED) return;
  label.textContent = COPIED;
  setTimeout(() => { label.textContent = before; }, SHOWN_MS);
}

export function setUpCopying() {
  document.addEventListener("click", (event) => {
    const control = event.target.closest("[data-copy]");
    const code = control?.closest(".code").querySelector("pre");
    if (code) orNotice(() => copy(code.textContent, control));
  });
}
