/** Reads, writes and resizes the question box, and keeps a draft for each conversation. */

import { byId } from "./dom.js";
import { state } from "./state.js";

const MAX_HEIGHT_PIXELS = 224;

export const questionText = () => byId("question").value;

export const focusQuestion = () => byId("question").focus();

export function setQuestionText(text) {
  byId("question").value = text;
  updateQuestionBox();
}

/** Fits the box to its text, and enables the Send button if there is something to send. */
export function updateQuestionBox() {
  const box = byId("question");
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, MAX_HEIGHT_PIXELS)}px`;
  byId("send").disabled = !box.value.trim() && !state.attachments.length;
}

/** Puts a text that was not sent back into the box of its conversation, before what was written meanwhile. */
export function putBack(text, thread) {
  const before = (written) => (written ? `${text}\n${written}` : text);
  if (thread === state.thread) setQuestionText(before(questionText()));
  else state.drafts.set(thread, before(state.drafts.get(thread)));
}

/** Keeps the text of the open conversation and shows the draft of another one. */
export function switchDraft(from, to) {
  if (from) state.drafts.set(from, questionText());
  setQuestionText(state.drafts.get(to) || "");
}
