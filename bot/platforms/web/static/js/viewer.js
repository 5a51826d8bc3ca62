/** Shows a document at the quoted passage, in a panel at the side: its pages as pictures where it has any, or its text. */

import { request } from "./api.js";
import { showPages } from "./document-pages.js";
import { textElements } from "./document-text.js";
import { button, byId, element, orNotice } from "./dom.js";
import { EARLIER_PART, LATER_PART, QUOTE_GONE } from "./user-messages.js";

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
    ...partButton(EARLIER_PART, view.earlier), ...textElements(view.segments, view.earlier === null), ...partButton(LATER_PART, view.later));
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
