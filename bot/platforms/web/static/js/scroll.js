/** Keeps the end of the conversation in view while an answer grows, unless the reader has scrolled away. */

import { byId } from "./dom.js";

const NEAR_END_PIXELS = 80;

export function isAtEnd() {
  const box = byId("scroll");
  return box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END_PIXELS;
}

export function scrollToEnd() {
  byId("scroll").scrollTop = byId("scroll").scrollHeight;
  byId("latest").hidden = true;
}

export function scrollToStart() {
  byId("scroll").scrollTop = 0;
}

/** Runs a change above what is on the screen, which stays where it is. */
export function keepPlace(change) {
  const box = byId("scroll");
  const fromEnd = box.scrollHeight - box.scrollTop;
  change();
  box.scrollTop = box.scrollHeight - fromEnd;
}

/** Shows the button that scrolls to the end. */
export function offerScrollToEnd() {
  byId("latest").hidden = false;
}

export function setUpScrolling() {
  byId("latest").onclick = scrollToEnd;
  byId("scroll").addEventListener("scroll", () => {
    if (isAtEnd()) byId("latest").hidden = true;
  });
}
