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

/** Keeps the text of the open conversation and shows the draft of another one. */
export function switchDraft(from, to) {
  if (from) state.drafts.set(from, questionText());
  setQuestionText(state.drafts.get(to) || "");
}
