/** Handles the buttons below an answer: stop, ask again, rate, and the panels "Why?" and "Sources". */

import { request } from "./api.js";
import { copyAnswer } from "./copying.js";
import { announce, button, byId, element, isNoticeShown, orNotice } from "./dom.js";
import { RATINGS, bodyElement, fileElement } from "./message-elements.js";
import { FEEDBACK_REASONS, THANKS, THANKS_FOR_REASON, WHAT_WAS_WRONG } from "./user-messages.js";
import { scrollToEnd } from "./scroll.js";
import { state } from "./state.js";

const MAX_REASON_CHARS = 500;

export function setUpAnswerActions() {
  byId("log").addEventListener("click", (event) => {
    const clicked = event.target.closest("button[data-action]");
    const message = state.messages.get(clicked?.closest(".msg")?.id);
    if (message) orNotice(() => runAction(clicked, message));
  });
}

async function runAction(clicked, message) {
  const { action } = clicked.dataset;
  const card = clicked.closest(".msg");
  card.querySelector(".panel")?.remove();
  clicked.disabled = true;
  try {
    await send(action, message, card);
  } finally {
    // A stopped answer is about to lose its buttons. A refused stop can be tried again.
    clicked.disabled = action === "stop" && !isNoticeShown();
  }
}

async function send(action, message, card) {
  const { thread, turn, reading } = message;
  if (action === "copy") return copyAnswer(card, message);
  if (reading) return request("api/readings/stop", { thread, reading });
  const path = `api/turns/${turn}/${action}`;
  if (action === "why" || action === "sources") return showPanel(card, (await request(path, { thread })).message);
  await request(path, {});
  if (RATINGS.has(action)) showRating(card, turn, action);
  if (action === "again" || action === "strong") scrollToEnd();
}

/** Shows the reply of a command in a panel below the answer. */
function showPanel(card, message) {
  const panel = element("div", { className: "panel" }, bodyElement(message));
  if (message.file) panel.append(fileElement(message.file));
  card.append(panel);
  panel.scrollIntoView({ block: "nearest" });
}

/** Marks the chosen thumb; after a thumb down, asks for the reason. */
function showRating(card, turn, rating) {
  state.ratings.set(turn, rating);
  for (const thumb of card.querySelectorAll("[aria-pressed]")) {
    thumb.setAttribute("aria-pressed", String(thumb.dataset.action === rating));
  }
  announce(THANKS);
  if (rating === "down") askForReason(card, turn);
}

function askForReason(card, turn) {
  const form = element("form", { className: "panel feedback" });
  const submit = (reason) => orNotice(async () => {
    if (reason.trim()) await request(`api/turns/${turn}/down`, { reason });
    form.replaceChildren(THANKS_FOR_REASON);
  });
  const input = element("input", { placeholder: WHAT_WAS_WRONG, maxLength: MAX_REASON_CHARS });
  input.setAttribute("aria-label", WHAT_WAS_WRONG);
  form.append(...FEEDBACK_REASONS.map((text) => button({ textContent: text, onclick: () => submit(text) })), input);
  form.onsubmit = (event) => {
    event.preventDefault();
    submit(input.value);
  };
  card.append(form);
  form.scrollIntoView({ block: "nearest" });
}
