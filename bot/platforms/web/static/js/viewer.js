/** Shows a document at the quoted passage, in a panel at the side: its pages as pictures where it has any, or its text. */

import { request } from "./api.js";
import { showPages } from "./document-pages.js";
import { button, byId, element, orNotice } from "./dom.js";
import { EARLIER_PART, LATER_PART, QUOTE_GONE, longPage } from "./user-messages.js";

const HEADING = /^#{1,6}\s+/;
const TABLE_ROW = /^\s*\|/;

/** The document and the quote that are shown: { document, quote, start }. */
let shown = null;

/** The page on which the quote begins. */
let quotedPage = null;

/** Opens the document of a source at its quote. */
export function openSource(source) {
  shown = { document: source.document, quote: source.literal || source.quote, start: source.start };
  quotedPage = source.page;
  return orNotice(async () => {
    const view = await read({});
    draw(view);
    const viewer = byId("viewer");
    if (!viewer.open) viewer.showModal();
    byId("viewer-mode").hidden = !view.has_pages;
    await setMode(view.has_pages ? "pages" : "text");
  });
}

/** Shows the document as "pages" or as "text". Pages that cannot be shown give way to the text. */
async function setMode(mode) {
  byId("viewer-pages").hidden = mode !== "pages";
  byId("viewer-text").hidden = mode !== "text";
  for (const choice of byId("viewer-mode").children) choice.ariaPressed = String(choice.dataset.mode === mode);
  byId(`viewer-${mode}`).focus({ preventScroll: true });
  if (mode === "text") return scrollToQuote();
  try {
    return await showPages(shown, quotedPage, showNote);
  } catch (error) {
    showNote(error.message);
    return setMode("text");
  }
}

const read = (part) => {
  const { document: id, quote, start } = shown;
  return request(`api/documents/${id}`, { quote, start, ...part });
};

function draw(view) {
  byId("viewer-title").textContent = view.title;
  byId("viewer-source").replaceChildren(sourceElement(view));
  showNote(view.found ? "" : QUOTE_GONE);
  byId("viewer-text").replaceChildren(
    ...partButton(EARLIER_PART, view.earlier), ...lineElements(view.segments), ...partButton(LATER_PART, view.later));
  quotedPage = view.segments.find(({ quoted }) => quoted)?.page ?? quotedPage;
}

/** Shows a message above the text; an empty one hides it. */
function showNote(text) {
  byId("viewer-note").hidden = !text;
  byId("viewer-note").textContent = text;
}

function sourceElement({ url, source }) {
  if (!url) return source;
  return element("a", { href: url, target: "_blank", rel: "noopener noreferrer nofollow", textContent: source });
}

/** Creates the button that shows the part beside this one, if there is one. */
function partButton(label, at) {
  if (at === null) return [];
  const onclick = async () => {
    try {
      draw(await read({ at }));
      byId("viewer-text").scrollTop = 0;
      byId("viewer-text").focus({ preventScroll: true });
    } catch (error) {
      showNote(error.message);
    }
  };
  return [button({ className: "part", textContent: label, onclick })];
}

/** Creates an element for each line. The quote is in <mark> elements, and each page begins with its number. */
function lineElements(segments) {
  const lines = [];
  let line = null;
  let page = null;
  const begin = () => lines.push(line = element("p", { dir: "auto" }));
  begin();
  for (const segment of segments) {
    if (segment.page !== page) {
      page = segment.page;
      lines.push(element("div", { className: "page-number", textContent: longPage(page) }));
      begin();
    }
    segment.text.split("\n").forEach((text, index) => {
      if (index) begin();
      if (text) line.append(segment.quoted ? element("mark", { textContent: text }) : text);
    });
  }
  const written = lines.filter((one) => one.textContent.trim());
  written.forEach(setKind);
  return written;
}

/** Marks headings and rows of tables, as the text of documents writes them. */
function setKind(line) {
  if (HEADING.test(line.textContent)) {
    line.className = "heading";
    const first = line.firstChild;
    first.textContent = first.textContent.replace(HEADING, "");
  } else if (TABLE_ROW.test(line.textContent)) {
    line.className = "row";
  }
}

function scrollToQuote() {
  const quote = byId("viewer-text").querySelector("mark");
  if (quote) quote.scrollIntoView({ block: "center" });
  else byId("viewer-text").scrollTop = 0;
}

export function setUpViewer() {
  const viewer = byId("viewer");
  byId("viewer-close").onclick = () => viewer.close();
  for (const choice of byId("viewer-mode").children) choice.onclick = () => setMode(choice.dataset.mode);
  viewer.onclick = (event) => { if (event.target === viewer) viewer.close(); };
}
