/** Reads, writes and resizes the question box, and keeps its text as the draft of the open conversation. */

import { byId } from "./dom.js";
import { draftOf, keepDraft } from "./drafts.js";
import { state } from "./state.js";

const MAX_HEIGHT_PIXELS = 224;

export const questionText = () => byId("question").value;

export const focusQuestion = () => byId("question").focus();

export function setQuestionText(text) {
  byId("question").value = text;
  updateQuestionBox();
}

/** Keeps the text as a draft, fits the box to it, and enables the Send button if there is something to send. */
export function updateQuestionBox() {
  const box = byId("question");
  if (state.thread) keepDraft(state.thread, box.value);
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, MAX_HEIGHT_PIXELS)}px`;
  byId("send").disabled = !box.value.trim() && !state.attachments.length;
}

/** Puts a text that was not sent back into the box of its conversation, before what was written meanwhile. */
export function putBack(text, thread) {
  const before = (written) => (written ? `${text}\n${written}` : text);
  if (thread === state.thread) setQuestionText(before(questionText()));
  else keepDraft(thread, before(draftOf(thread)));
}

/** Shows the draft of the open conversation. */
export const showDraft = () => setQuestionText(draftOf(state.thread));
