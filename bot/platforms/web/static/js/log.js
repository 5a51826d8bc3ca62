/** Shows the messages of the open conversation: adds, replaces, patches and removes them in the log. */

import { announce, byId, element } from "./dom.js";
import { blockElement, messageElement, waitingLine } from "./message-elements.js";
import { ANNOUNCE_ANSWERED, SEARCHING, WAITING } from "./user-messages.js";
import { isAtEnd, keepPlace, offerScrollToEnd, scrollToEnd } from "./scroll.js";
import { answersOf, runningTurnsOf, state } from "./state.js";

/** The turn ID of a question that the server has not accepted yet. */
const UNSENT = "unsent";

/**
 * Adds a message, or replaces it where it is.
 * With several server processes, one turn's answer has other message IDs in the process that writes it (a-), in those
 * that show its placeholder (e-), and once it is read from the store (h-). Only one of these is shown.
 */
export function showMessage(message) {
  if (message.role === "assistant" && message.turn) {
    const others = answersOf(message.turn).filter(({ id }) => id[0] !== message.id[0]);
    if (others.length && isPlaceholder(message)) return others[0];
    others.forEach(({ id }) => removeMessage(id));
  }
  const follow = isAtEnd();
  const before = state.messages.get(message.id);
  state.messages.set(message.id, message);
  if (message.role === "user") document.querySelectorAll(".msg.sending").forEach((sent) => sent.remove());
  const shown = byId(message.id);
  const created = messageElement(message);
  if (shown) replaceMessage(shown, created);
  else byId("log").append(created);
  track(message);
  updateWaiting(message);
  updateEmptyState();
  if (follow) scrollToEnd();
  return before;
}

const isPlaceholder = ({ id }) => id.startsWith("e-");

/** Announces an answer that has just become final. */
export function announceAnswer(message, before) {
  if (message.role === "assistant" && message.final && !before?.final) announce(ANNOUNCE_ANSWERED);
}

/**
 * Replaces a message's element, unless its question is being edited. Keeps the open panel under it and the keyboard focus
 * on its button.
 */
function replaceMessage(shown, created) {
  if (shown.querySelector(".editor")) return;
  const panel = shown.querySelector(".panel");
  if (panel && created.querySelector(".actions")) created.append(panel);
  created.style.animation = "none";
  const focused = shown.contains(document.activeElement) && document.activeElement.dataset.action;
  shown.replaceWith(created);
  if (focused) created.querySelector(`[data-action="${focused}"]`)?.focus({ preventScroll: true });
}

/**
 * Replaces the blocks of a message after the first `keep`, which have `chars` characters.
 * Ignores a patch that does not fit, because another server process knows an earlier state of the message: the server
 * sends the message in full after a few patches, and when it is complete.
 */
export function patchMessage({ id, keep, chars, blocks }) {
  const message = state.messages.get(id);
  const kept = message?.blocks.slice(0, keep);
  if (!message || kept.join("").length !== chars) return;
  message.blocks = [...kept, ...blocks];
  const body = byId(id)?.querySelector(".body");
  if (!body) {
    showMessage(message);
    return;
  }
  const follow = isAtEnd();
  while (body.children.length > keep) body.lastElementChild.remove();
  for (const block of blocks) body.append(blockElement(block));
  if (follow) scrollToEnd();
  else offerScrollToEnd();
}

export function removeMessage(id) {
  const message = state.messages.get(id);
  if (message?.role === "user" && message.turn) {
    waitingLines(message.turn)[0]?.remove();
    runningTurnsOf(message.thread).delete(message.turn);
    labelWaitingLines();
  }
  state.messages.delete(id);
  byId(id)?.remove();
  updateEmptyState();
}

/** Shows exactly these messages. Nothing is measured in between, so that the browser lays the page out once. */
export function replaceLog(messages) {
  state.messages.clear();
  byId("log").replaceChildren(...logElements(messages));
  labelWaitingLines();
  updateEmptyState();
}

/** Shows earlier messages above the others, which stay where they are on the screen. */
export function prependToLog(messages) {
  const known = messages.filter(({ id }) => !state.messages.has(id));
  keepPlace(() => byId("log").prepend(...logElements(known)));
}

/** Returns whether a message belongs to what the log shows, and not to earlier messages that are not loaded. */
export function isInLog({ id, role, turn, at }) {
  if (!state.earlier || !turn || state.messages.has(id)) return true;
  if (role !== "user") return state.messages.has(`q-${turn}`);
  const [oldest] = byId("log").children;
  return at >= (state.messages.get(oldest?.id)?.at ?? "");
}

function logElements(messages) {
  for (const message of messages) state.messages.set(message.id, message);
  return messages.flatMap((message) => {
    track(message);
    return needsWaitingLine(message) ? [messageElement(message), waitingLine(message.turn)] : [messageElement(message)];
  });
}

/** Shows a question or command before the server has accepted it. Returns a function that takes it back. */
export function showUnsent(text, { isCommand }) {
  const body = element("div", { className: "body clamp" }, element("p", { className: "plain", textContent: text || "…", dir: "auto" }));
  const sent = element("article", { className: "msg user sending" }, body);
  byId("log").append(sent);
  if (!isCommand) byId("log").append(waitingLine(UNSENT));
  labelWaitingLines();
  updateEmptyState();
  scrollToEnd();
  return () => {
    sent.remove();
    waitingLines(UNSENT)[0]?.remove();
    updateEmptyState();
  };
}

const waitingLines = (turn) => [...document.querySelectorAll(`[data-waiting="${turn}"]`)];

/** Tracks which turns are being answered or wait for that. */
function track(message) {
  const running = runningTurnsOf(message.thread);
  if (message.role === "user" && message.turn) {
    if (message.final) running.delete(message.turn);
    else running.add(message.turn);
  } else if (message.role === "assistant" && message.final && message.actions.length) {
    running.delete(message.turn);
  }
}

const needsWaitingLine = (message) =>
  message.role === "user" && message.turn && !message.final && !answersOf(message.turn).length;

/** Shows or removes the line that stands in for an answer without a message. */
function updateWaiting(message) {
  if (message.role === "user" && message.turn) {
    waitingLines(UNSENT).forEach((line) => line.remove());
    const [line] = waitingLines(message.turn);
    const needed = needsWaitingLine(message);
    if (needed && !line) byId("log").append(waitingLine(message.turn));
    if (!needed) line?.remove();
  } else if (message.role === "assistant") {
    waitingLines(message.turn)[0]?.remove();
  }
  labelWaitingLines();
}

/** Says which question is being answered; the others wait for it, because a conversation has one answer at a time. */
function labelWaitingLines() {
  const [answered] = runningTurnsOf(state.thread);
  for (const line of document.querySelectorAll("[data-waiting]")) {
    const isAnswered = line.dataset.waiting === (answered ?? UNSENT);
    line.lastElementChild.textContent = isAnswered ? SEARCHING : WAITING;
  }
}

/** Shows the welcome text if the conversation has no message. */
export function updateEmptyState() {
  const wasHidden = byId("empty").hidden;
  state.isEmpty = byId("log").childElementCount === 0;
  byId("empty").hidden = !state.isEmpty;
  if (state.isEmpty && wasHidden) document.dispatchEvent(new CustomEvent("welcome"));
}
