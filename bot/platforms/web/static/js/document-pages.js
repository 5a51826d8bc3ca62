/** Shows pages of a document as pictures, with the quote marked on them. */

import { request } from "./api.js";
import { button, byId, element } from "./dom.js";
import { EARLIER_PAGES, LATER_PAGES, PAGE_NOT_SHOWN, longPage } from "./user-messages.js";

/**
 * Shows the pages around a quote. `shown` is { document, quote, start }, `page` is the page of the quote.
 * `onError` receives a message if pages cannot be shown.
 */
export async function showPages(shown, page, onError) {
  draw(shown, await read(shown, {}), onError);
  scrollToQuote(page);
}

const read = ({ document: id, quote, start }, part) =>
  request(`api/documents/${id}/pages`, { quote, start, ...part });

function draw(shown, view, onError) {
  const pages = view.pages.map((page) => pageElement(shown.document, page, onError));
  byId("viewer-pages").replaceChildren(
    ...partButton(EARLIER_PAGES, view.earlier, shown, onError), ...pages,
    ...partButton(LATER_PAGES, view.later, shown, onError));
}

/** Creates the button that shows the pages beside these, if there are any. */
function partButton(label, first, shown, onError) {
  if (first === null) return [];
  const onclick = async () => {
    try {
      draw(shown, await read(shown, { first }), onError);
      byId("viewer-pages").scrollTop = 0;
      byId("viewer-pages").focus({ preventScroll: true });
    } catch (error) {
      onError(error.message);
    }
  };
  return [button({ className: "part", textContent: label, onclick })];
}

function pageElement(id, { number, label, width, height, areas }, onError) {
  const picture = element("img", {
    alt: longPage(label), loading: "lazy", width: Math.round(width), height: Math.round(height),
    src: `api/documents/${id}/pages/${number}`, onerror: () => onError(PAGE_NOT_SHOWN),
  });
  const sheet = element("div", { className: "sheet" }, picture, ...areas.map(areaElement));
  const figure = element("figure", { className: "page" }, element("figcaption", { textContent: longPage(label) }), sheet);
  figure.dataset.page = number;
  return figure;
}

/** Creates the rectangle over a line of the quote. The areas are shares of the page. */
function areaElement([left, top, right, bottom]) {
  const area = element("div", { className: "area" });
  area.style.left = percent(left);
  area.style.top = percent(top);
  area.style.width = percent(right - left);
  area.style.height = percent(bottom - top);
  return area;
}

const percent = (share) => `${100 * share}%`;

function scrollToQuote(page) {
  const pages = byId("viewer-pages");
  const quote = pages.querySelector(".area");
  if (quote) quote.scrollIntoView({ block: "center" });
  else pages.querySelector(`[data-page="${page}"]`)?.scrollIntoView();
}
