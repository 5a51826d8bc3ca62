/** Shows the quoted passage of a source in a popover next to its citation. */

import { button, byId, element, icon, isPhone } from "./dom.js";
import { CLOSE, OPEN_DOCUMENT, longPage } from "./user-messages.js";
import { answersOf, state } from "./state.js";
import { openSource } from "./viewer.js";

const MARGIN = 16;
const GAP = 8;
const INDENT = 24;

/** The citation or source button whose passage is open. */
let opener = null;

export const isPassageOpen = () => !byId("passage").hidden;

/** Opens a source's passage; closes it if this button opened it. */
function togglePassage(opening, source) {
  const wasOpener = opener === opening;
  closePassage();
  if (wasOpener) return;
  opener = opening;
  opening.setAttribute("aria-expanded", "true");
  const box = byId("passage");
  box.replaceChildren(header(source), element("blockquote", { textContent: joinBrokenLines(source.quote), dir: "auto" }),
    element("footer", {}, ...documentButton(source), origin(source)));
  box.hidden = false;
  placeNextTo(opening, box);
  box.focus({ preventScroll: true });
}

/** Closes the popover and, on request, moves the focus back to the button that opened it. */
export function closePassage({ refocus = false } = {}) {
  byId("passage").hidden = true;
  opener?.setAttribute("aria-expanded", "false");
  if (refocus) opener?.focus();
  opener = null;
}

function header(source) {
  const headings = source.heading.filter((heading, level) => level || heading !== source.title);
  const place = [...headings, source.page && longPage(source.page_label || source.page)].filter(Boolean).join(" › ");
  const title = element("div", {}, element("h2", { textContent: source.title, dir: "auto" }), element("p", { textContent: place }));
  const close = button({ className: "icon", innerHTML: icon("close"), onclick: () => closePassage({ refocus: true }) });
  close.setAttribute("aria-label", CLOSE);
  return element("header", {}, title, close);
}

/** Creates the button that opens the document, unless the quote is from an attached file. */
function documentButton(source) {
  if (!source.document) return [];
  const open = () => {
    closePassage({ refocus: true });
    openSource(source);
  };
  return [button({ className: "open-document", textContent: OPEN_DOCUMENT, onclick: open })];
}

function origin(source) {
  if (!source.url) return source.source;
  const link = { href: source.url, target: "_blank", rel: "noopener noreferrer nofollow", textContent: source.source };
  return element("a", link);
}

/** Joins lines that a PDF or a text file wrapped. Lists, tables and paragraphs keep their lines. */
const joinBrokenLines = (text) => text.replace(/([^\n|])\n(?=[^\n|*#>\-\d])/g, "$1 ");

/** Puts the popover below its opener, or above it if there is no room below. */
function placeNextTo(opening, box) {
  const at = opening.getBoundingClientRect();
  const size = box.getBoundingClientRect();
  const fitsBelow = at.bottom + GAP + size.height < innerHeight;
  box.style.left = `${Math.max(MARGIN, Math.min(at.left - INDENT, innerWidth - size.width - MARGIN))}px`;
  box.style.top = `${fitsBelow ? at.bottom + GAP : Math.max(MARGIN, at.top - size.height - GAP)}px`;
}

export function setUpPassage() {
  byId("log").addEventListener("click", (event) => {
    const clicked = event.target.closest("button[data-n]");
    const message = state.messages.get(clicked?.closest(".msg")?.id);
    if (!message) return;
    const parts = message.role === "command" ? [message] : answersOf(message.turn);
    const sources = parts.flatMap((part) => part.sources);
    const source = sources.find(({ n }) => n === Number(clicked.dataset.n));
    if (!source) return;
    // A source below the answer opens its document at once; a number in the text first shows the quote beside it.
    if (source.document && clicked.closest(".sources")) openSource(source);
    else togglePassage(clicked, source);
  });
  document.addEventListener("pointerdown", (event) => {
    if (isPassageOpen() && !event.target.closest("#passage, .cite, .sources button")) closePassage();
  });
  // On a phone the passage is a sheet at the bottom, which the scroll position does not move.
  byId("scroll").addEventListener("scroll", () => { if (!isPhone()) closePassage(); });
}
